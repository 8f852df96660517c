"""Adapt to a task, then move towards what earlier tasks of the same stream came to: parameters fused with a memory.

    θ = adapt(support),   θ_j = adapt(task_j) for each earlier task j,   q = K·θ,   k_j = K·θ_j
    a_j = m_j·exp(q·k_j / √width) / Σ_i m_i·exp(q·k_i / √width),   r = Σ_j a_j·(θ_0 + c ∘ (θ_j − θ_0))
    φ = g(θ, {θ_j}_{j<i}) = θ + σ(s) ∘ (r − θ)

`θ_0` is where adapting starts and `m_j = Σ w` of task j. `K`, `s` and `c` are learned: whom to ask, of which parameters
to believe them, and how much farther they would have gone: a few steps from few examples stop short, and a mean of many
that stop short is short as well, whereas one task's own way must not be stretched, for its errors would be.

A plain form of meta-networks, in which a network maps this task's parameters and a memory of earlier ones to those that
are used, after Munkhdalai & Yu 2017, "Meta Networks", §3. With all attended alike and c = 1 it is the shrinkage of θ
towards a mean (Efron & Morris 1975, "Data Analysis Using Stein's Estimator"), with a weight learned for each parameter.
The memory holds what an earlier task came to, not how sure it was: where examples are so few that tasks are sure of
some directions only, pooling their examples would tell more than any g can (see `mapsto.tasks.LinearStream`).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.batching import each_task
from ..adaptation.coordinates import joined, parted
from ..adaptation.learner import Learner
from ..adaptation.normalisation import statistics_of
from ..episodes import Episode, Examples
from ..errors import MapstoError
from .maml import MAML, Adapted
from .matching import attention


class MemoryFusion(Learner):
    """Gradient descent on the support set, fused with what it makes of the earlier tasks in `episode.context`.

    The context's tensors have an axis for the earlier tasks in front: x `[j, n, ...]`, y `[j, n, ...]`, w `[j, n]`. An
    earlier task without weight is none; without any the parameters stay those of the support set.

    Args:
        learner: adapts to each task, this one and the earlier ones; its start is learned with the fusion.
        width: of the keys by which earlier tasks are asked.

    Raises:
        MapstoError: `width` below 1.

    >>> from mapsto.episodes import Episode, examples
    >>> fused = MemoryFusion(MAML(nn.Linear(1, 1, bias=False), loss="mse", lr=0.25))
    >>> _ = nn.init.zeros_(fused.learner.body.weight)
    >>> here, there = (examples(torch.ones(1, 1), torch.full((1, 1), y)) for y in (4.0, 8.0))
    >>> earlier = Examples(*(leaf[None] for leaf in there))
    >>> fused.adapt_to(Episode(here, here, context=earlier)).params["weight"]  # between 0.25 · 2 · 4 and 0.25 · 2 · 8
    tensor([[3.]], grad_fn=<ViewBackward0>)
    """

    family = "memory-based"

    def __init__(self, learner: MAML, width: int = 8):
        super().__init__()
        if width < 1:
            raise MapstoError(f"width: got {width}, expected at least 1.")
        if not isinstance(learner, MAML):
            raise MapstoError(f"learner: got {type(learner).__name__}, expected MAML, whose parameters are fused.")
        self.learner, self.loss_name, self.transductive = learner, learner.loss_name, learner.transductive
        size = sum(dict(learner.body.named_parameters())[name].numel() for name in learner.adapted)
        self.key = nn.Linear(size, width, bias=False)
        self.share = nn.Parameter(torch.zeros(size))  # s of the formula: half of the way to start with
        self.stretch = nn.Parameter(torch.ones(size))  # c of the formula

    def adapt(self, support: Examples) -> Adapted:
        """Adapt to the support set alone, with nothing to remember."""
        return self.learner.adapt(support)

    def adapt_to(self, episode: Episode) -> Adapted:
        """Adapt to the support set and to each earlier task, and fuse."""
        here, context = self.adapt(episode.support), episode.context
        if context is None or len(context.w) == 0:
            return here
        if context.w.dim() != 2:
            raise MapstoError(
                f"context: got weights of shape {tuple(context.w.shape)}, expected [j, n]: an axis for the earlier "
                "tasks, then one for the examples of each."
            )
        params = parted(self._fuse(joined(here.params), self._remember(context), context.w.sum(-1)), here.params)
        statistics = statistics_of(self.learner.body, params, episode.support.x, episode.support.w)
        return Adapted(params, {} if self.transductive else statistics)

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the network with the fused parameters."""
        return self.learner.predict(state, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the network with the fused parameters."""
        return self.learner.features(state, x)

    def _remember(self, context: Examples) -> Float[Tensor, "j p"]:
        """Return what adapting to each earlier task comes to."""
        return each_task(
            self.learner, lambda task: joined(self.learner.adapt(task.support).params), Episode(context, context)
        )

    def _fuse(self, here: Float[Tensor, " p"], earlier: Float[Tensor, "j p"], mass: Float[Tensor, " j"]) -> Tensor:
        scores = self.key(earlier) @ self.key(here) / self.key.out_features**0.5  # [j]
        a = attention(scores[None], mass)[0]  # [j], 0 throughout where nothing is remembered
        start = joined(self.learner.beginning())  # [p]
        r = start + self.stretch * (a @ (earlier - start))  # [p]
        return here + a.sum() * torch.sigmoid(self.share) * (r - here)
