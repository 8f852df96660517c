"""Views of a learner: functions from one input of the chain `support ↦ state ↦ scores` to a score.

    query: x ↦ score      support: D.x ↦ score      weights: D.w ↦ score      state: θ ↦ score      feature: h ↦ score

D is the support set. If an episode is given in place of a support set, a learner with a memory also reads the episode's
context (the examples of earlier tasks). Then the explained model is the one that `evaluate` scores:
`predict(adapt_to(episode), x)`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation import chance, watching
from ..adaptation.learner import Learner
from ..adaptation.policies import gains
from ..episodes import Episode, Examples, State
from ..games import Game, View

Link = Callable[[Tensor], Tensor]
Worth = Callable[[Tensor, Tensor], Tensor]


def query(learner: Learner, support: Examples | Episode, target: int | None = None, link: Link = lambda s: s) -> View:
    """Return the function from a query row to its score, for attributing the score to the entries of the row.

    Args:
        learner: the learner to explain.
        support: the support set, or an episode if the learner also reads a context (examples of earlier tasks).
        target: the index of the score; if None, the function returns all scores.
        link: a function of the scores, applied before `target` is selected, such as a softmax over the last axis.

    Raises:
        MapstoError: if the learner is transductive or stochastic, a row differs in shape from the support rows, or
            `target` is not the index of a score.
    """
    examples, adapt = adaptation(learner, support)
    state = adapt(examples)
    return lambda x: _score(learner, state, _row(x, examples), target, link)


def support(
    learner: Learner, support: Examples | Episode, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> View:
    """Return the function from the inputs of the support set to the score of row `x` after adaptation.

    Use it to attribute the score to the entries of the support inputs. Arguments and errors are those of `query`.
    """
    return _through_adaptation("x", "row", learner, support, x, target, link)


def weights(
    learner: Learner, support: Examples | Episode, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> View:
    """Return the function from the weights of the support examples to the score of row `x` after adaptation.

    Use it to attribute the score to support examples, each taken as one unit. Arguments and errors are those of
    `query`.
    """
    return _through_adaptation("w", "weight", learner, support, x, target, link)


def taught(learner: Learner, episode: Episode, worth: Worth | None = None) -> View:
    """Return the function from the weights of the support examples to the value of the adapted model on the query set.

    Use it to measure how useful each support example was. The value is the sum of `worth(scores, y)` over the m query
    rows, with the weights of the query set. `worth` maps the scores `[m, k]` and the targets to one number for each
    row. If `worth` is None, this number is the probability of the true class, minus the squared error if numbers are
    predicted, or the clipped advantage of a policy. `game(taught(learner, episode), episode.support.w)` is the game of
    Ghorbani & Zou 2019, "Data Shapley", §2; with `groups=episode.support.y` its players are whole classes.
    """
    worth = worth or _WORTH.get(learner.loss_name) or (lambda scores, y: -learner.criterion.rows(scores, y))
    examples, adapt = adaptation(learner, episode)

    def view(w: Tensor) -> Tensor:
        scores = learner.predict(adapt(examples._replace(w=w)), episode.query.x)
        rows = worth(scores, episode.query.y)  # [m]
        return (episode.query.w * torch.where(episode.query.w > 0, rows, 0.0)).sum()

    return view


def state(
    learner: Learner, state: State, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> tuple[View, Tensor]:
    """Return the function from the adapted model's state to the score of row `x`, and the state as one vector.

    The vector contains the floating-point tensors of the state. The argument `state` is the result of
    `learner.adapt(support)` or, if the learner also reads an episode's context (examples of earlier tasks), of
    `learner.adapt_to(episode)`.
    """
    _explainable(learner)
    leaves, spec = pytree.tree_flatten(state)
    moving = [leaf.is_floating_point() for leaf in leaves]
    sizes = [leaf.numel() for leaf, moves in zip(leaves, moving, strict=True) if moves]

    def view(flat: Tensor) -> Tensor:
        parts = iter(flat.split(sizes))
        moved = [next(parts).view_as(leaf) if moves else leaf for leaf, moves in zip(leaves, moving, strict=True)]
        return _score(learner, pytree.tree_unflatten(moved, spec), x, target, link)

    return view, torch.cat([leaf.flatten() for leaf, moves in zip(leaves, moving, strict=True) if moves])


def feature(
    learner: Learner,
    support: Examples | Episode,
    x: Tensor,
    layer: str,
    target: int | None = None,
    link: Link = lambda s: s,
) -> tuple[View, Tensor]:
    """Return the function from a layer's output to the score of row `x`, and the layer's output for `x`.

    The output has no row axis. The function runs the adapted network with its argument in place of the layer's output,
    so that any explainer can be applied to any layer.

    Args:
        learner: the learner to explain.
        support: the support set, or an episode.
        x: the row to explain.
        layer: a name that `learner.features` gives to a submodule, or the name of a module of the learner (`"body"` is
            the whole body).
        target: the index of the score; if None, the function returns all scores.
        link: a function of the scores, applied before `target` is selected.

    Raises:
        MapstoError: in any case in which `query` raises it, or if `layer` is unknown, does not run exactly once for a
            row, does not return a floating-point tensor, or does not affect the score.

    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import PrototypicalNetwork
    >>> learner = PrototypicalNetwork(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU()), ways=2)
    >>> support = examples(torch.tensor([[0.0], [4.0]]), torch.tensor([0, 1]))
    >>> view, point = feature(learner, support, torch.tensor([-2.0]), "1", target=1)
    >>> point, view(point), view(torch.tensor([3.0]))
    (tensor([0.]), tensor(-16.), tensor(-1.))
    """
    examples, adapt = adaptation(learner, support)
    state, part = adapt(examples), watching.part(learner, layer)
    _row(x, examples)

    def score() -> Tensor:
        return _score(learner, state, x, target, link)

    def view(moved: Tensor) -> Tensor:
        # A copy, because the next layer may work in place.
        return watching.replace(part, lambda output: moved.reshape(output.shape).clone(), score)

    return _reached(layer, view, watching.only_output(layer, part, score).squeeze(0))


def support_feature(
    learner: Learner,
    support: Examples | Episode,
    x: Tensor,
    layer: str,
    target: int | None = None,
    link: Link = lambda s: s,
) -> tuple[View, Tensor]:
    """Return a pair: the function from a layer's outputs on the support set to the score of `x`, and these outputs.

    The outputs have shape `[n, ...]`. The function replaces the layer's outputs on the support set only; for
    `x`, the layer computes its output as usual. If the layer does not run
    exactly once for the whole support set, for example because it runs in each of several inner steps, MapstoError is
    raised. Arguments and other errors are those of `feature`.
    """
    examples, adapt = adaptation(learner, support)
    part = watching.part(learner, layer)
    _row(x, examples)
    point = watching.only_output(layer, part, lambda: adapt(examples))

    def view(moved: Tensor) -> Tensor:
        # Add a difference, so that a learner with inner gradients still takes them through the layer.
        state = watching.replace(part, lambda output: output + (moved - point), lambda: adapt(examples))
        return _score(learner, state, x, target, link)

    return _reached(layer, view, point)


def support_game(
    learner: Learner, support: Examples | Episode, x: Tensor, target: int | None = None, link: Link = lambda s: s
) -> Game:
    """Return the game whose players are the support examples and whose outcome is the score of row `x`.

    Hidden examples get weight 0, and the learner adapts again. Arguments and errors are those of `query`.
    """
    view, w = weights(learner, support, x, target, link), _episode(support).support.w
    return Game(lambda mask: view(w * mask.to(w)), len(w))


def deterministic(learner: Learner) -> Learner:
    """Return the learner, or raise MapstoError if one of its layers is stochastic, such as dropout in training."""
    random = chance.random_part(learner)
    checks.expect(
        not random, "learner", f"a random one: its {random} draws at random in training",
        "a deterministic one, because every call would give another answer", "call learner.eval() first",
    )  # fmt: skip
    return learner


def _through_adaptation(
    field: str, noun: str, learner: Learner, support: Examples | Episode, x: Tensor, target: int | None, link: Link
) -> View:
    """Return the view from one field of the support examples, such as `w`, to the score of row `x`."""
    examples, adapt = adaptation(learner, support)
    _row(x, examples)
    size = getattr(examples, field).shape

    def view(moved: Tensor) -> Tensor:
        checks.shape(size, f"give one {noun} for each support example", **{field: moved})
        return _score(learner, adapt(examples._replace(**{field: moved})), x, target, link)

    return view


def _episode(support: Examples | Episode) -> Episode:
    return support if isinstance(support, Episode) else Episode(support, support)


def adaptation(learner: Learner, support: Examples | Episode) -> tuple[Examples, Callable[[Examples], State]]:
    """Return the support set, and a function from support sets to states that also reads the context of an episode."""
    _explainable(learner)
    episode = _episode(support)

    def adapt(examples: Examples) -> State:
        with chance.refused("learner"):
            return learner.adapt_to(episode._replace(support=examples))

    return episode.support, adapt


def _explainable(learner: Learner) -> None:
    checks.expect(
        isinstance(learner, Learner), "learner", f"a {type(learner).__name__}", "a learner of mapsto",
        "for any other model, use mt.views.model(f, target=...)",
    )  # fmt: skip
    checks.expect(
        not learner.transductive, "learner", f"{type(learner).__name__}(transductive=True)",
        "one whose prediction for a row does not depend on other rows", "build it with transductive=False",
    )  # fmt: skip
    deterministic(learner)


def _row(x: Tensor, support: Examples) -> Tensor:
    checks.shape(support.x.shape[1:], "give one row; for many, use an explainer's `over` or torch.func.vmap", x=x)
    return x


def _score(learner: Learner, state: State, x: Tensor, target: int | None, link: Link) -> Tensor:
    with chance.refused("learner"):
        scores = link(learner.predict(state, x[None])[0])
    if target is None:
        return scores
    checks.expect(scores.ndim, "target", target, "None, because link returns one number", "leave target out")
    count = len(scores)
    checks.expect(0 <= target < count, "target", target, f"None or one of the {count} scores, counted from 0")
    return scores[target]


def _reached(layer: str, view: View, point: Tensor) -> tuple[View, Tensor]:
    """Return the view and its point, or raise MapstoError if the score does not depend on the layer's output."""
    reached = []

    def probe(moved: Tensor) -> Tensor:
        reached.append(view(moved).requires_grad)  # inside vjp, parameters do not count
        return moved.sum()

    vjp(probe, point)
    checks.expect(
        any(reached), "layer", f"{layer!r}, whose output does not reach the score with a gradient",
        "a layer between the input and the score",
    )  # fmt: skip
    return view, point


_WORTH: dict[str, Worth] = {
    "cross_entropy": lambda scores, y: scores.softmax(-1).gather(-1, y[:, None])[:, 0],
    "mse": lambda scores, y: -(scores - y).square().mean(-1),
    "policy_gradient": gains,
}
