"""Learn a representation, and what of it to let through, on which learning one image at a time does not overwrite.

    φ_i = body(x_i) ∘ σ(gate(x_i)),    (W, b)_k ← 0 for each class k of the support
    (W, b) ← (W, b) − lr·∇ ℓ(W·φ_i + b, y_i)    for i = 1 … n, each image once, in its order;    scores = W·φ(x) + b

Meta-training minimises the loss after the last step on the sequence itself (the query set) and on a remember set of
other classes (`episode.context`), through all steps: what was known must survive what is learned. Beaulieu et al. 2020,
"Learning to Continually Learn", §3 and Algorithm 1; without a gate it is online-aware meta-learning, Javed & White
2019, "Meta-Learning Representations for Continual Learning", Algorithm 2 and eq. 3.

Where we depart: the derivatives go through all steps, where ANML's published code takes the inner gradients to be
constants (it leaves out `create_graph`), so that representation and gate never learn what a step will do. The head is
one linear layer (OML's has two), and it alone adapts, in training as in testing (in training ANML's code also moves the
body). A class that comes anew starts from weights 0, not from noise; the weights it had in the remember set are kept
for the tasks in which it is remembered. At test published results choose Adam's rate; here it is gradient descent.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from ..adaptation import losses
from ..adaptation.differentiation import Differentiation, FirstOrder, Implicit, Reverse
from ..adaptation.differentiation.route import chosen
from ..adaptation.inner import SGD, Inputs, Params, gradient_step, on_minibatches, start
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner, Metrics
from ..adaptation.watching import watch
from ..episodes import Episode, Examples
from ..errors import MapstoError


class Head(NamedTuple):
    """The linear layer that the sequence taught."""

    weight: Float[Tensor, "k f"]
    bias: Float[Tensor, " k"]


class ANML(Learner):
    """Gated features under a linear head that learns one example at a time; without a gate, OML.

    An example of weight 0 takes no step; where the others weigh alike, their steps do not depend on how many there are.
    The first example of a class also clears what was known of it, so that scores jump as its weight leaves 0.

    Args:
        body: any `nn.Module` from `[n, ...]` to features `[n, width]`, each row on its own: no batch norm.
        gate: such a module too, whose outputs pass a sigmoid and multiply the features; None for OML.
        width: of the features, see `Conv3.width`.
        ways: the number of classes, known ones included; may be changed at any time, say to train with all classes of
            the remember set and test with those of a trajectory. Beyond the number it was made with, weights are 0.
        lr: inner learning rate; may be changed at any time.
        differentiation: of the steps, see `differentiation`; `Checkpointed` bounds the memory of long sequences, and
            `ConstantGradients` is the first order of the published code.

    Raises:
        MapstoError: `ways` or `width` below 1, a negative `lr`, batch norm, features that are not `width` wide, or
            `FirstOrder` or `Implicit` differentiation.

    >>> from mapsto.episodes import examples
    >>> learner = ANML(nn.Identity(), None, width=2, ways=2, lr=1.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> state.weight  # the second step is the larger, since the first one's bias speaks against its class
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
        if min(ways, width) < 1:
            raise MapstoError(f"ways, width: got {ways} and {width}, expected at least 1 class and 1 feature.")
        if lr < 0:
            raise MapstoError(f"lr: got {lr}, expected 0 or more.")
        if isinstance(differentiation, FirstOrder | Implicit):
            raise MapstoError(
                f"differentiation: got {type(differentiation).__name__}, expected ConstantGradients for first order, "
                "or a route through the steps: features pass them as data, and one pass over a sequence never rests."
            )
        self.body = _alone("body", body)
        self.gate = None if gate is None else _alone("gate", gate)
        self.head, self.width, self.ways, self.lr = nn.Linear(width, ways), width, ways, lr
        self.differentiation = chosen(differentiation, Reverse())

    def adapt(self, support: Examples) -> Head:
        """Clear the weights of the classes that come, then take one step an example, in their order."""
        f = self._represent(support.x)  # [n, f]
        head = self._cleared(one_hot(support.y, self.ways, f) * (support.w > 0)[:, None])
        sequence = Examples(f, support.y, _one_each(support.w))
        step = on_minibatches(gradient_step(self.differentiation.gradient(_objective), SGD()), 1)
        inputs = Inputs({}, {name: (self.lr,) for name in head}, sequence)
        return Head(**self.differentiation(step, start(SGD(), head), inputs, range(len(f))).params)

    def predict(self, state: Head, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Score every class by the head that the sequence taught."""
        return F.linear(self._represent(x), state.weight, state.bias)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return `Σ w·ℓ` over the query set and the remember set after the sequence, and the accuracy on each."""
        state, parts = self.adapt(episode.support), [episode.query, *([episode.context] if episode.context else [])]
        scores = self.predict(state, torch.cat([part.x for part in parts])).split([len(part.w) for part in parts])
        terms = [losses.cross_entropy(s, part.y, part.w) for s, part in zip(scores, parts, strict=True)]
        loss = torch.stack(terms).sum()
        metrics = {"loss": loss.detach()}
        for name, s, part in zip(("", "remembered_"), scores, parts, strict=False):
            measured = losses.METRICS[self.loss_name](s.detach(), part)
            metrics |= {name + of: value for of, value in measured.items()}
        return loss, metrics

    def features(self, state: Head, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the body, the representation, its gate (0 … 1), and their product."""
        f = self.body(x)
        gate = torch.ones_like(f) if self.gate is None else torch.sigmoid(self.gate(x))
        return watch(self.body, lambda: self.body(x)) | {"representation": f, "open": gate, "gated": f * gate}

    def _represent(self, x: Tensor) -> Float[Tensor, "n f"]:
        f = self.body(x) if self.gate is None else self.body(x) * torch.sigmoid(self.gate(x))
        if f.shape[-1] != self.width:
            raise MapstoError(f"width: got {self.width}, expected {f.shape[-1]}, the features that the body returns.")
        return f

    def _cleared(self, seen: Float[Tensor, "n k"]) -> Params:
        """Return the learned head for `ways` classes, 0 for those that are `seen`."""
        new, rows = seen.sum(0) > 0, self.ways - len(self.head.bias)  # [k]
        weight, bias = (F.pad(p, (*[0] * 2 * (p.dim() - 1), 0, rows)) for p in (self.head.weight, self.head.bias))
        return {"weight": torch.where(new[:, None], 0.0, weight), "bias": torch.where(new, 0.0, bias)}


def _objective(head: Params, fixed: Params, rows: Examples) -> Tensor:
    return losses.cross_entropy(F.linear(rows.x, head["weight"], head["bias"]), rows.y, rows.w)


def _one_each(w: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Scale weights so that a minibatch of one has weight 1 where all that are not 0 are alike."""
    squares = w.square().sum()
    return w * w.sum() / torch.where(squares > 0, squares, 1.0) / max(len(w), 1)


def _alone(name: str, network: nn.Module) -> nn.Module:
    """Return the network if it treats each image by itself, or raise MapstoError."""
    for layer, module in network.named_modules():
        if isinstance(module, _BatchNorm) or (isinstance(module, _NormBase) and module.track_running_stats):
            raise MapstoError(
                f"{name}: layer {layer!r} is a {type(module).__name__}, by which an image would see those that come "
                "after it; expected a norm of each image by itself, as GroupNorm is."
            )
    return network
