"""A few concepts that rebuild a model's prediction from its intermediate features.

    h_l = mean over positions of gelu(W_l·f_l),   φ = top(relu(V·[h_1 … h_L])),   ŷ = b + Σ_j φ_j·θ_j
    loss = ℓ(target, ŷ) + Σ_l ℓ(target, R_l·h_l) + conciseness·E[H(φ)] − diversity·H(E[φ])

ℓ is the Kullback–Leibler divergence of probabilities, or the squared error of predicted numbers. The cross-entropy has
the same gradient in the interpreter, but would draw a model that is trained with it towards certainty. The concepts φ
are not negative, and only the `active` largest of each row differ from 0. The contribution φ_j·θ_jc of concept j to the
score of class c *is* the explanation: the contributions and the base b add up to the interpreter's score. H is the
entropy of the activations divided by their sum: low for a row that few concepts describe, high over all rows if every
concept is used. The read-out R_l of each layer shows where in the network the prediction forms.

Parekh et al. 2021, "A Framework to Learn with Interpretation" (FLINT), §3.2–3.3, with the k-sparse activations of
Makhzani & Frey 2014 in place of their L1 penalty, without their decoder, and with entropies of the activations divided
by their sum in place of their softmax. The read-outs are the linear probes of Alain & Bengio 2017.
"""

from collections.abc import Mapping
from typing import NamedTuple, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks
from .explainer import LearnedExplainer, Metrics, Prediction, Target, errors, targets
from .fidelity import same_number, same_probability
from .perceptron import Pooled


class Concepts(NamedTuple):
    """The concepts of `n` rows: `base + contributions.sum(1)` is the interpreter's score of each outcome."""

    activations: Float[Tensor, "n j"]
    contributions: Float[Tensor, "n j k"]
    base: Float[Tensor, "n k"]
    outcome: Float[Tensor, "n k"]  # rebuilt from the concepts: probabilities, or numbers
    layers: dict[str, Float[Tensor, "n k"]]  # rebuilt from each layer alone
    trust: Float[Tensor, " n"]  # how much of the model's outcome is rebuilt, from 0 to 1, see `fidelity`


class Interpreter(LearnedExplainer):
    """Rebuild the model's prediction from a few sparse, non-negative concepts, whose contributions explain it.

    `explain` returns `Concepts`, whose `trust` is the exact agreement of the rebuilt outcome with the model's.

    Args:
        reads: the features to read, as `{name: channels}`; at least one.
        outputs: the number `k` of outcomes of the model.
        concepts: the number of concepts.
        active: the largest number of concepts that differ from 0 in one row.
        target: "model" to rebuild the model's prediction, "label" to predict the true target of the row.
        conciseness: the weight of a penalty on the entropy of each row's activations, which favours few concepts per
            row.
        diversity: the weight of a reward for the entropy of the mean activations, which favours the use of all
            concepts.
        width: the number of hidden units for each feature that is read.

    Raises:
        MapstoError: if `reads` is empty, a number is out of range, or `target` is unknown.
    """

    def __init__(
        self,
        reads: Mapping[str, int],
        outputs: int,
        concepts: int = 16,
        active: int = 5,
        target: Target = "model",
        conciseness: float = 0.01,
        diversity: float = 0.1,
        width: int = 64,
    ):
        super().__init__(reads)
        checks.expect(bool(self.reads), "reads", "none", "at least one feature")
        checks.count(outputs=outputs, concepts=concepts, active=active, width=width)
        checks.expect(active <= concepts, "active", active, f"at most {concepts}, the concepts")
        checks.one_of(get_args(Target), target=target)
        checks.at_least(0, conciseness=conciseness, diversity=diversity)
        self.outputs, self.active, self.target = outputs, active, target
        self.conciseness, self.diversity = conciseness, diversity
        self.hidden = Pooled(self.reads, width)
        self.concepts = nn.Linear(width * len(self.reads), concepts)
        self.scores = nn.Linear(concepts, outputs)
        self.probes = nn.ModuleList(nn.Linear(width, outputs) for _ in self.reads)

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics); the module docstring has the formula of the loss.

        For classes, the metric `fidelity` is the weighted fraction of rows for which the concepts lead to the same
        class as the model.
        """
        of_classes = prediction.of_classes
        target = targets(prediction, y, self.target)
        hidden, activations = self._activations(prediction)
        scores = self.scores(activations)
        fits = scores.shape == target.shape
        checks.expect(fits, "outputs", self.outputs, f"{target.shape[1]}, those of the model")
        rebuilt = [scores, *(probe(h) for probe, h in zip(self.probes, hidden, strict=True))]
        least = entropy(target) if of_classes else 0.0  # the cross-entropy of a perfect copy
        parts = [w @ (errors(of, target, of_classes) - least) for of in rebuilt]
        share = activations / activations.sum(1, keepdim=True).clamp(min=1e-9)
        mean = (w @ share) / w.sum().clamp(min=1e-9)
        loss = sum(parts) + self.conciseness * (w @ entropy(share)) - self.diversity * w.sum() * entropy(mean)
        same = (scores.argmax(1) == prediction.outcome.argmax(1)).to(w)
        numbers = {"active": (w @ (activations > 0).to(w).sum(1)) / w.sum().clamp(min=1e-9), "error": parts[0]}
        if of_classes:
            numbers["fidelity"] = (w @ same) / w.sum().clamp(min=1e-9)
        return loss, {name: value.detach() for name, value in numbers.items()}

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> Concepts:
        """Return the concepts of each row and their contributions to the row's scores."""
        hidden, activations = self.trained()._activations(prediction)
        contributions = activations[..., None] * self.scores.weight.T
        base = self.scores.bias.expand(len(activations), -1)
        scores = [base + contributions.sum(1), *(probe(h) for probe, h in zip(self.probes, hidden, strict=True))]
        outcome, *layers = (s.softmax(-1) if prediction.of_classes else s for s in scores)
        if prediction.of_classes:
            trust = same_probability(prediction.outcome, outcome)
        else:
            trust = same_number(prediction.outcome, outcome, base)
        return Concepts(activations, contributions, base, outcome, dict(zip(self.reads, layers, strict=True)), trust)

    def _activations(self, prediction: Prediction) -> tuple[list[Tensor], Float[Tensor, "n j"]]:
        hidden = self.hidden(list(self.read(prediction.features).values()))
        raw = self.concepts(torch.cat(hidden, 1)).relu()
        largest = raw.topk(self.active, 1)
        return hidden, torch.zeros_like(raw).scatter(1, largest.indices, largest.values)


def entropy(share: Float[Tensor, "... j"]) -> Float[Tensor, "..."]:
    """Return the entropy −Σ p·log p in nats of shares that sum to 1.

    >>> entropy(torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])).round(decimals=4)
    tensor([0.6931, 0.0000])
    """
    return torch.special.entr(share.clamp(min=1e-12)).sum(-1).clamp(min=0)
