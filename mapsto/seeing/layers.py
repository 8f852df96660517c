"""Features of each layer for the same rows in each of several states, for comparing layers.

features[layer][i] = the layer's output `[n, d]` for the rows, in state i, each row's output as one vector
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import checks, views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import State

Features = dict[str, Float[Tensor, "s n d"]]


def features_over(learner: Learner, states: list[State], x: Shaped[Tensor, "n ..."]) -> Features:
    """Return the outputs of each layer for the rows `x`, in each of several adapted states.

    The result maps the name of each layer, in the order of the network, to its outputs `[states, rows, features]`.
    Outputs whose first dimension is not the number of rows are left out. Each row's output is flattened to one vector.
    To examine a single state, pass `[state]`.

    Raises:
        MapstoError: if there is no state or no row, or the learner has no intermediate features or has stochastic
            layers.

    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MAML
    >>> learner = MAML(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)))
    >>> state = learner.adapt(examples(torch.eye(2), torch.tensor([0, 1])))
    >>> {layer: tuple(f.shape) for layer, f in features_over(learner, [state], torch.zeros(5, 2)).items()}
    {'0': (1, 5, 4), '1': (1, 5, 4), '2': (1, 5, 2)}
    """
    views.deterministic(learner)
    checks.expect(bool(states), "states", "none", "at least one state")
    checks.expect(len(x) > 0, "x", "no row", "at least one row")
    with torch.no_grad(), answering(learner, x):
        seen = [learner.features(state, x) for state in states]
    kept = [name for name, f in seen[0].items() if f.is_floating_point() and f.dim() > 0 and len(f) == len(x)]
    name = type(learner).__name__
    checks.expect(bool(kept), "learner", f"{name} without named intermediate features", "some to compare")
    return {name: torch.stack([features[name].reshape(len(x), -1) for features in seen]) for name in kept}
