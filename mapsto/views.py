"""The two ways to question a model: *move* an input (a view) or *hide* part of it (a game).

A view is one output of the chain `support ↦ state ↦ scores` as a function of one of its inputs. A game is a view with
a rule for what "absent" means, see `games`. Every explainer speaks to these and to nothing else.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.utils import _pytree as pytree

from .adaptation import watching
from .adaptation.learner import Learner
from .episodes import Episode, Examples, State
from .errors import MapstoError
from .games import Game as Game
from .games import View as View
from .games import game as game

Link = Callable[[Tensor], Tensor]
Worth = Callable[[Tensor, Tensor], Tensor]
_CHANCE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)


def query(learner: Learner, support: Examples, target: int | None = None, link: Link = lambda s: s) -> View:
    """x ↦ score: why this prediction? `link` maps the scores first (say `torch.softmax` over the last axis)."""
    state = _rowwise(learner).adapt(support)
    return lambda x: _score(learner, state, _row(x, support), target, link)


def support(
    learner: Learner, support: Examples, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> View:
    """D.x ↦ score: which features of the teaching examples caused it, through adaptation?"""
    _rowwise(learner), _row(x, support)

    def view(moved: Tensor) -> Tensor:
        return _score(learner, learner.adapt(support._replace(x=_like("x", moved, support.x))), x, target, link)

    return view


def weights(
    learner: Learner, support: Examples, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> View:
    """D.w ↦ score: which teaching example caused it?"""
    _rowwise(learner), _row(x, support)
    return lambda w: _score(learner, learner.adapt(support._replace(w=_like("w", w, support.w))), x, target, link)


def taught(learner: Learner, episode: Episode, worth: Worth | None = None) -> View:
    """D.w ↦ Σ w·worth(scores, y) over the query set: how well did the teaching examples teach?

    `worth` maps scores `[m, k]` and what is true to one number a row: by default the probability of the true class,
    which, unlike its logarithm, is finite where no example of a class is left; for numbers minus the squared error.
    Its game, `game(taught(learner, episode), episode.support.w)`, is that of Ghorbani & Zou 2019, "Data Shapley", §2;
    with `groups=episode.support.y` whole classes play.
    """
    worth = worth or _WORTH[learner.loss_name]
    _rowwise(learner)

    def value(w: Tensor) -> Tensor:
        state = learner.adapt_to(episode._replace(support=episode.support._replace(w=w)))
        rows = worth(learner.predict(state, episode.query.x), episode.query.y)  # [m]
        return (episode.query.w * torch.where(episode.query.w > 0, rows, 0.0)).sum()

    return value


def state(
    learner: Learner, state: State, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> tuple[View, Tensor]:
    """θ ↦ score: which part of the adapted model caused it? Returns the view and its point θ, the state as a vector."""
    _rowwise(learner)
    leaves, spec = pytree.tree_flatten(state)
    moving = [leaf.is_floating_point() for leaf in leaves]
    sizes = [leaf.numel() for leaf, moves in zip(leaves, moving, strict=True) if moves]

    def score(flat: Tensor) -> Tensor:
        parts = iter(flat.split(sizes))
        moved = [next(parts).view_as(leaf) if moves else leaf for leaf, moves in zip(leaves, moving, strict=True)]
        return _score(learner, pytree.tree_unflatten(moved, spec), x, target, link)

    return score, torch.cat([leaf.flatten() for leaf, moves in zip(leaves, moving, strict=True) if moves])


def feature(
    learner: Learner,
    support: Examples,
    x: Tensor,
    layer: str,
    target: int | None = None,
    link: Link = lambda s: s,
) -> tuple[View, Tensor]:
    """Layer's output ↦ score: which intermediate feature of row `x` caused it?

    Returns the view and its point, what `layer` of the adapted network hands on for `x` (without the axis of rows). At
    the view that output is replaced by a moved one, so that any explainer explains any layer. `layer` is a name as
    `learner.features` gives it to the parts of a body, or of the learner as a module (`"body"` is all of it).

    Raises:
        MapstoError: no such layer, one that runs more than once or not at all for a row, whose output is no
            floating-point tensor, or does not reach the score.

    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import PrototypicalNetwork
    >>> learner = PrototypicalNetwork(nn.Sequential(nn.Flatten(), nn.ReLU()), ways=2)
    >>> support = examples(torch.tensor([[0.0], [4.0]]), torch.tensor([0, 1]))
    >>> view, point = feature(learner, support, torch.tensor([-2.0]), "1", target=1)
    >>> point, view(point), view(torch.tensor([3.0]))
    (tensor([0.]), tensor(-16.), tensor(-1.))
    """
    state, part = _rowwise(learner).adapt(support), watching.part(learner, layer)
    _row(x, support)

    def score() -> Tensor:
        return _score(learner, state, x, target, link)

    def view(moved: Tensor) -> Tensor:
        return watching.replace(part, lambda output: moved.reshape(output.shape), score)

    return _reached(layer, view, _only_output(layer, part, score).squeeze(0))


def support_feature(
    learner: Learner,
    support: Examples,
    x: Tensor,
    layer: str,
    target: int | None = None,
    link: Link = lambda s: s,
) -> tuple[View, Tensor]:
    """Layer's outputs for the teaching examples ↦ score of `x`: which of their features caused it, through adaptation?

    Returns the view and its point, the outputs `[n, ...]` of `layer` while the learner adapts; for `x` itself the layer
    stays as it is. For learners that embed their support set once, as those that compare with prototypes do. Names and
    errors are those of `feature`; a layer that adaptation runs again in each inner step has no one output to move.
    """
    part = watching.part(_rowwise(learner), layer)
    _row(x, support)
    point = _only_output(layer, part, lambda: learner.adapt(support))

    def view(moved: Tensor) -> Tensor:
        # By a difference, so that a learner which takes gradients as it adapts takes them through the layer as before.
        state = watching.replace(part, lambda output: output + (moved - point), lambda: learner.adapt(support))
        return _score(learner, state, x, target, link)

    return _reached(layer, view, point)


def support_game(
    learner: Learner, support: Examples, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> Game:
    """Play the teaching examples: an absent one has weight 0, and the learner adapts again."""
    view = weights(learner, support, x, target, link)
    return Game(lambda mask: view(support.w * mask.to(support.w)), len(support.w))


class Adapted(nn.Module):
    """A learner that has read its support set: a plain module x `[n, ...]` ↦ scores `[n, k]`."""

    def __init__(self, learner: Learner, support: Examples):
        super().__init__()
        self.learner = learner
        leaves, self.spec = pytree.tree_flatten(learner.adapt(support))
        for i, leaf in enumerate(leaves):
            self.register_buffer(f"state_{i}", leaf.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Score rows x `[n, ...]` as `[n, k]`."""
        state = pytree.tree_unflatten([getattr(self, f"state_{i}") for i in range(self.spec.num_leaves)], self.spec)
        return self.learner.predict(state, x)


def as_module(learner: Learner, support: Examples) -> Adapted:
    """Freeze what `learner` makes of `support` as a plain `nn.Module`, for captum, shap, torch.export and ONNX."""
    return Adapted(_rowwise(learner), support)


def deterministic(learner: Learner) -> Learner:
    """Return the learner, or raise MapstoError where a layer of it draws at random, as dropout in training."""
    for name, part in learner.named_modules():
        if isinstance(part, _CHANCE) and part.training and getattr(part, "p", 1) > 0:
            raise MapstoError(
                f"learner: its {type(part).__name__} {name!r} draws at random in training, so that every question gets "
                "another answer, expected one that is deterministic; call learner.eval() first."
            )
    return learner


def _rowwise(learner: Learner) -> Learner:
    if learner.transductive:
        raise ValueError(
            f"learner: {type(learner).__name__}(transductive=True) lets a prediction depend on its neighbours, so "
            "parts of one row cannot be hidden or moved alone. Build it with transductive=False to explain it."
        )
    return deterministic(learner)


def _row(x: Tensor, support: Examples) -> Tensor:
    if x.shape != support.x.shape[1:]:
        raise MapstoError(
            f"x: got shape {tuple(x.shape)}, expected {tuple(support.x.shape[1:])}, that of one row of what teaches; "
            "ask about many with an explainer's `over`, or torch.func.vmap."
        )
    return x


def _like(name: str, moved: Tensor, own: Tensor) -> Tensor:
    if moved.shape != own.shape:
        raise MapstoError(f"{name}: got shape {tuple(moved.shape)}, expected {tuple(own.shape)}, the support set's.")
    return moved


def _score(learner: Learner, state: State, x: Tensor, target: int | None, link: Link) -> Tensor:
    scores = link(learner.predict(state, x[None])[0])
    if target is None:
        return scores
    known = len(scores) if scores.ndim else 0
    if not 0 <= target < known:
        raise MapstoError(f"target: got {target}, expected None or one of the {known} scores, counted from 0.")
    return scores[target]


def _only_output(layer: str, part: nn.Module, call: Callable[[], object]) -> Tensor:
    """Return what `part` hands on during `call`; raise MapstoError where that is not one floating-point tensor."""
    outputs: list = []

    def keep(output: object) -> object:
        outputs.append(output)
        return output

    watching.replace(part, keep, call)
    if len(outputs) != 1:
        raise MapstoError(
            f"layer: {layer!r} runs {len(outputs)} times, expected once: there is no one output to move; take one that "
            "runs once, as those of a feed-forward body do."
        )
    if not (isinstance(outputs[0], Tensor) and outputs[0].is_floating_point()):
        got = outputs[0].dtype if isinstance(outputs[0], Tensor) else type(outputs[0]).__name__
        raise MapstoError(f"layer: {layer!r} returns {got}, expected one floating-point tensor; take another layer.")
    return outputs[0]


def _reached(layer: str, view: View, point: Tensor) -> tuple[View, Tensor]:
    """Return the view and its point; raise MapstoError where the score does not depend on what the layer returns."""
    reached = []

    def probe(moved: Tensor) -> Tensor:
        reached.append(view(moved).requires_grad)  # at the level of vjp: whatever has parameters does not count
        return moved.sum()

    vjp(probe, point)
    if not any(reached):
        raise MapstoError(
            f"layer: the output of {layer!r} does not reach the score with a gradient, expected a layer on the way "
            "from input to score; take another one."
        )
    return view, point


_WORTH: dict[str, Worth] = {
    "cross_entropy": lambda scores, y: scores.softmax(-1).gather(-1, y[:, None])[:, 0],
    "mse": lambda scores, y: -(scores - y).square().mean(-1),
}
