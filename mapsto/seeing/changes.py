"""What adaptation changed: how far each layer's parameters, and what the layers say of the same rows, have moved.

    parameters[i, l] = ‖φ_i − φ_0‖ / ‖φ_0‖  of layer l,        features[i, m] = ‖h_i − h_0‖ / ‖h_0‖  of part m

It is the question of Raghu et al. 2020, "Rapid Learning or Feature Reuse?", §3, who ask by layers whether MAML learns
or reuses features (by freezing them and by CKA; see `similarity`). A part's change includes what earlier parts hand on.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..adaptation.learner import Learner
from ..episodes import Examples
from .iterates import by_layer, iterates
from .layers import features_over


class Changes(NamedTuple):
    """Relative change since step 0; nan where there was nothing (a layer that starts from 0)."""

    layers: tuple[str, ...]  # those with parameters that adapt
    parameters: Float[Tensor, "s l"]
    parts: tuple[str, ...]  # those with features
    features: Float[Tensor, "s m"]


def changes(learner: Learner, support: Examples, x: Float[Tensor, "n ..."]) -> Changes:
    """Return how far adapting to `support` moved parameters, and the features of rows `x`, at every inner step.

    Raises:
        MapstoError: a learner without inner gradient steps or intermediate features, or no row.
    """
    way = iterates(learner, support)
    params = [by_layer(p) for p in way.params]
    moved = {layer: torch.stack([p[layer] for p in params]) for layer in params[0]}
    features = {part: f.flatten(1) for part, f in features_over(learner, way.states, x).items()}
    return Changes(tuple(moved), _relative(moved), tuple(features), _relative(features))


def _relative(vectors: dict[str, Float[Tensor, "s p"]]) -> Float[Tensor, "s l"]:
    ways = [(v - v[0]).norm(dim=1) / torch.where(v[0].norm() > 0, v[0].norm(), torch.nan) for v in vectors.values()]
    return torch.stack(ways, 1)
