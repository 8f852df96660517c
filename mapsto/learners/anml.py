"""Learn gated features on which a classifier can learn one image at a time without forgetting earlier classes.

    φ_i = body(x_i) ∘ σ(gate(x_i)),    (W, b)_k ← 0 for each class k of the support
    (W, b) ← (W, b) − lr·∇ ℓ(W·φ_i + b, y_i)    for i = 1 … n, each image once, in its order;    scores = W·φ(x) + b

Meta-training minimises the loss after the last step, through all steps. The loss is taken on the sequence itself (the
query set) and on a remember set: examples of other classes, in `episode.context`, which must not be forgotten. Beaulieu
et al. 2020, "Learning to Continually Learn", §3 and Algorithm 1; without a gate it is online-aware meta-learning (OML),
Javed & White 2019, "Meta-Learning Representations for Continual Learning", Algorithm 2 and eq. 3.

Differences: the derivatives go through all steps. ANML's published code treats the inner gradients as constants (it
omits `create_graph`), so its representation and gate cannot learn the effect of a step. The head is one linear layer
(OML's has two), and only the head adapts, in training and in testing (in training ANML's code also adapts the body). A
new class starts from weights 0, not from noise. The head's learned weights of a class are used only in tasks in which
the class belongs to the remember set. The published results use Adam at test, with a rate chosen there; here all steps
are gradient descent.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from .. import checks
from ..adaptation import losses
from ..adaptation.differentiation import Differentiation, FirstOrder, Implicit, Reverse
from ..adaptation.differentiation.route import chosen
from ..adaptation.inner import SGD, Inputs, Params, gradient_step, on_minibatches, start
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner, Metrics
from ..adaptation.watching import watch
from ..episodes import Episode, Examples


class Head(NamedTuple):
    """The state: the weights and biases of the linear head after the last step."""

    weight: Float[Tensor, "k f"]
    bias: Float[Tensor, " k"]


class ANML(Learner):
    """Continual learning with a linear head on gated features, one example at a time; without a gate, this is OML.

    An example of weight 0 has no effect. If all other weights are equal, the size of a step does not depend on the
    number of examples. The head's weights for the classes of the support set are set to 0 before the first step. So the
    scores jump when a class's only example changes from weight 0 to a positive weight.

    Args:
        body: any `nn.Module` that maps inputs `[n, ...]` to features `[n, width]`, each row independently: no batch
            norm.
        gate: another such module, whose outputs pass through a sigmoid and multiply the features; None for OML.
        width: the number of features, see `Conv3.width`.
        ways: the number of classes, including those of the remember set (examples of other classes, in
            `episode.context`). The attribute may be changed later, for example to train with all classes and test with
            those of one sequence. Weights of additional classes are 0.
        lr: the learning rate of the inner steps; the attribute may be changed later.
        differentiation: how the loss is differentiated through the steps, see `adaptation.differentiation`; None for
            exact derivatives. `Checkpointed` saves memory for long sequences, and `ConstantGradients` is the
            first-order version of the published code.

    Raises:
        MapstoError: if `ways` or `width` is below 1, `lr` is negative, a module has batch norm, the number of features
            is not `width`, or `differentiation` is `FirstOrder` or `Implicit`.

    >>> from mapsto.episodes import examples
    >>> learner = ANML(nn.Identity(), None, width=2, ways=2, lr=1.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> state.weight  # the second step is larger, because the first moved the bias against its class
    tensor([[ 0.5000, -1.4621],
            [-0.5000,  1.4621]], grad_fn=<SubBackward0>)
    """

    family = "memory-based"
    differentiation: Differentiation

    def __init__(
        self,
        body: nn.Module,
        gate: nn.Module | None,
        width: int,
        ways: int,
        lr: float = 0.1,
        differentiation: Differentiation | None = None,
    ):
        super().__init__()
        checks.count(ways=ways, width=width)
        checks.at_least(0, lr=lr)
        checks.expect(
            not isinstance(differentiation, FirstOrder | Implicit), "differentiation", type(differentiation).__name__,
            "ConstantGradients or a route through the steps",
            "the features are data of the steps, and one pass over a sequence has no fixed point",
        )  # fmt: skip
        self.body = _rowwise("body", body)
        self.gate = None if gate is None else _rowwise("gate", gate)
        self.head, self.width, self.ways, self.lr = nn.Linear(width, ways), width, ways, lr
        self.differentiation = chosen(differentiation, Reverse())

    def adapt(self, support: Examples) -> Head:
        """Set the head's weights for the support set's classes to 0, and return the head after one step per example."""
        f = self._represent(support.x)  # [n, f]
        head = self._cleared(one_hot(support.y, self.ways, f) * (support.w > 0)[:, None])
        sequence = Examples(f, support.y, _one_each(support.w))
        step = on_minibatches(gradient_step(self.differentiation.gradient(_objective), SGD()), 1)
        inputs = Inputs({}, {name: (self.lr,) for name in head}, sequence)
        return Head(**self.differentiation(step, start(SGD(), head), inputs, range(len(f))).params)

    def predict(self, state: Head, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the score of every class by the adapted head."""
        return F.linear(self._represent(x), state.weight, state.bias)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the sum of the losses on the query set and the remember set, and the accuracy on each set.

        Both losses are `Σ w·ℓ` after the last step. The remember set, `episode.context`, has examples of other classes;
        if it is None, only the query set counts.
        """
        state, parts = self.adapt(episode.support), [episode.query, *([episode.context] if episode.context else [])]
        scores = self.predict(state, torch.cat([part.x for part in parts])).split([len(part.w) for part in parts])
        terms = [losses.cross_entropy(s, part.y, part.w) for s, part in zip(scores, parts, strict=True)]
        loss = torch.stack(terms).sum()
        metrics = {"loss": loss.detach()}
        for name, s, part in zip(("", "remembered_"), scores, parts, strict=False):
            values = losses.METRICS[self.loss_name](s.detach(), part)
            metrics |= {name + metric: value for metric, value in values.items()}
        return loss, metrics

    def features(self, state: Head, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the output of each submodule of the body by name, and three features `[n, width]`.

        The three are `representation`, the output of the body; `open`, the gate's values in 0 … 1 (1 if there is no
        gate); and `gated`, the product of `representation` and `open`.
        """
        f = self.body(x)
        gate = torch.ones_like(f) if self.gate is None else torch.sigmoid(self.gate(x))
        return watch(self.body, lambda: self.body(x)) | {"representation": f, "open": gate, "gated": f * gate}

    def _represent(self, x: Tensor) -> Float[Tensor, "n f"]:
        f = self.body(x) if self.gate is None else self.body(x) * torch.sigmoid(self.gate(x))
        features = f.shape[-1]
        checks.expect(features == self.width, "width", self.width, f"{features}, the number of the body's features")
        return f

    def _cleared(self, labels: Float[Tensor, "n k"]) -> Params:
        """Return the learned head for `ways` classes, with weights 0 for the classes of the labels."""
        new, rows = labels.sum(0) > 0, self.ways - len(self.head.bias)  # [k]
        weight, bias = (F.pad(p, (*[0] * 2 * (p.dim() - 1), 0, rows)) for p in (self.head.weight, self.head.bias))
        return {"weight": torch.where(new[:, None], 0.0, weight), "bias": torch.where(new, 0.0, bias)}


def _objective(head: Params, fixed: Params, rows: Examples) -> Tensor:
    return losses.cross_entropy(F.linear(rows.x, head["weight"], head["bias"]), rows.y, rows.w)


def _one_each(w: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Scale weights so that a minibatch of one example has weight 1 if all nonzero weights are equal."""
    squares = w.square().sum()
    return w * w.sum() / torch.where(squares > 0, squares, 1.0) / max(len(w), 1)


def _rowwise(name: str, network: nn.Module) -> nn.Module:
    """Return the network, or raise MapstoError if its output for an image depends on other images."""
    for layer, module in network.named_modules():
        mixes = isinstance(module, _BatchNorm) or (isinstance(module, _NormBase) and module.track_running_stats)
        checks.expect(
            not mixes, name, f"layer {layer!r}, a {type(module).__name__}, by which an image sees later ones",
            "a norm of each image by itself, such as GroupNorm",
        )  # fmt: skip
    return network
