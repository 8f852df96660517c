"""What each layer makes of the same rows in each of several states: the raw material of what compares layers.

features[layer][i] = the layer's output `[n, d]` on the rows, in state i, each row's output as one vector
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .. import views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import State
from ..errors import MapstoError

Features = dict[str, Float[Tensor, "s n d"]]


def features_over(learner: Learner, states: list[State], x: Float[Tensor, "n ..."]) -> Features:
    """Return the intermediate features of rows `x` in each state, by layer, in the order of the network.

    Features that do not have a row for each row of `x` are left out. Of one state, pass a list of one.

    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MAML
    >>> learner = MAML(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)))
    >>> state = learner.adapt(examples(torch.eye(2), torch.tensor([0, 1])))
    >>> {layer: tuple(f.shape) for layer, f in features_over(learner, [state], torch.zeros(5, 2)).items()}
    {'0': (1, 5, 4), '1': (1, 5, 4), '2': (1, 5, 2)}

    Raises:
        MapstoError: no state, no row, or a learner that names no intermediate feature, or draws at random.
    """
    views.deterministic(learner)
    if not states or len(x) == 0:
        raise MapstoError(f"states, x: got {len(states)} state(s) and {len(x)} row(s), expected at least one of each.")
    with torch.no_grad(), answering(learner, x):
        seen = [learner.features(state, x) for state in states]
    kept = [name for name, f in seen[0].items() if f.is_floating_point() and f.dim() > 0 and len(f) == len(x)]
    if not kept:
        raise MapstoError(f"learner: {type(learner).__name__} names no intermediate features of rows to compare.")
    return {name: torch.stack([features[name].reshape(len(x), -1) for features in seen]) for name in kept}
