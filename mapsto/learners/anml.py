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
from jaxtyping import Float, Shaped
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
    """Learn continually: one gradient step per example on a linear head over gated features; without a gate, it is OML.

    Only the head adapts. Before the first step, the head's weights and biases for the classes of the support set are
    set to 0. Then each support example gives one gradient step, in the order of the support set. An example of weight 0
    has no effect. Weights are rescaled so that equal weights become 1, whatever the number of examples. The head's
    parameters for a class are set to 0 only if one of the class's examples has a positive weight. Therefore, scores
    jump when the weight of the only example of a class rises from 0.

    Args:
        body: any `nn.Module` from `[n, ...]` to features `[n, width]`. It must treat each row independently, so it must
            not have batch norm.
        gate: a module like `body`, whose outputs pass through a sigmoid and multiply the features. If None, the
            features are not gated, as in OML (online-aware meta-learning).
        width: the number of features that `body` returns, such as `Conv3.width`.
        ways: the number of classes, including those of the remember set (examples of other classes, in
            `episode.context`). The attribute `ways` may be changed later, for example to train with all classes and
            test with the classes of one sequence. If `ways` is increased, the head's weights and biases of the added
            classes are 0 before the first step.
        lr: the learning rate of the inner steps. The attribute `lr` may be changed later.
        differentiation: how derivatives of the loss pass through the inner steps, see `adaptation.differentiation`. If
            None, the derivatives are exact. `Checkpointed` saves memory for long sequences. `ConstantGradients` treats
            inner gradients as constants, as the published code does.

    Raises:
        MapstoError: if `ways` or `width` is below 1, `lr` is negative, a module has batch norm, the number of features
            is not `width`, or `differentiation` is `FirstOrder` or `Implicit`.

    >>> from mapsto.episodes import examples
    >>> learner = ANML(nn.Identity(), None, width=2, ways=2, lr=1.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> state.weight  # the first step lowered the bias of class 1, so the second step is larger
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
        """Return the head after one gradient step for each support example, in the order of the support set.

        Before the first step, the weights and biases for the classes of the support set are set to 0.
        """
        f = self._represent(support.x)  # [n, f]
        head = self._cleared(one_hot(support.y, self.ways, f) * (support.w > 0)[:, None])
        sequence = Examples(f, support.y, _one_each(support.w))
        step = on_minibatches(gradient_step(self.differentiation.gradient(_objective), SGD()), 1)
        inputs = Inputs({}, {name: (self.lr,) for name in head}, sequence)
        return Head(**self.differentiation(step, start(SGD(), head), inputs, range(len(f))).params)

    def predict(self, state: Head, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the adapted head's scores of all classes for `n` rows."""
        return F.linear(self._represent(x), state.weight, state.bias)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the sum of the losses on the query set and on the remember set.

        Each of these two losses is the sum of the cross-entropies after the last step, weighted by `w`. The remember
        set, `episode.context`, holds examples of other classes. If `episode.context` is None, only the query set
        counts. The metrics include the accuracy on each set.
        """
        state, parts = self.adapt(episode.support), [episode.query, *([episode.context] if episode.context else [])]
        scores = self.predict(state, torch.cat([part.x for part in parts])).split([len(part.w) for part in parts])
        terms = [losses.cross_entropy(s, part.y, part.w) for s, part in zip(scores, parts, strict=True)]
        loss = torch.stack(terms).sum()
        metrics = {"loss": loss.detach()}
        for name, s, part in zip(("", "remembered_"), scores, parts, strict=False):
            values = self.criterion.metrics(s.detach(), part)
            metrics |= {name + metric: value for metric, value in values.items()}
        return loss, metrics

    def features(self, state: Head, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the body, and three features `[n, width]`.

        `representation` is the output of the body. `open` is the sigmoid of the gate's output, or 1 if there is no
        gate. `gated` is the product of `representation` and `open`.
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
