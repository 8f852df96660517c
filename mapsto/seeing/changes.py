"""Changes by adaptation: how far each layer's parameters, and each part's features of the same rows, have moved.

    parameters[i, l] = ‖φ_i − φ_0‖ / ‖φ_0‖  of layer l,        features[i, m] = ‖h_i − h_0‖ / ‖h_0‖  of part m

The question is that of Raghu et al. 2020, "Rapid Learning or Feature Reuse?", §3, who ask layer by layer whether MAML
learns or reuses features (by freezing them and by CKA; see `similarity`). The change of a part includes the changes of
earlier parts.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..adaptation.learner import Learner
from ..episodes import Episode, Examples
from .iterates import by_layer, iterates
from .layers import features_over


class Changes(NamedTuple):
    """The relative change of each layer since step 0, at each of `s` steps; NaN for a layer that is 0 at step 0."""

    layers: tuple[str, ...]  # those with parameters that adapt
    parameters: Float[Tensor, "s l"]
    parts: tuple[str, ...]  # those with features
    features: Float[Tensor, "s m"]


def changes(learner: Learner, support: Examples | Episode, x: Shaped[Tensor, "n ..."]) -> Changes:
    """Return the relative change of each layer's parameters, and of its outputs for rows `x`, after each inner step.

    The relative change is the norm of the difference from step 0, divided by the norm at step 0. The learner adapts to
    `support`.

    Raises:
        MapstoError: if the learner has no inner gradient steps or no intermediate features, or if `x` has no rows.
    """
    path = iterates(learner, support)
    params = [by_layer(p) for p in path.params]
    moved = {layer: torch.stack([p[layer] for p in params]) for layer in params[0]}
    features = {part: f.flatten(1) for part, f in features_over(learner, path.states, x).items()}
    return Changes(tuple(moved), _relative(moved), tuple(features), _relative(features))


def _relative(vectors: dict[str, Float[Tensor, "s p"]]) -> Float[Tensor, "s l"]:
    columns = [(v - v[0]).norm(dim=1) / torch.where(v[0].norm() > 0, v[0].norm(), torch.nan) for v in vectors.values()]
    return torch.stack(columns, 1)
