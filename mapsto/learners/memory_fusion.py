"""Adapt to a task, then move the adapted parameters towards those of similar earlier tasks.

    θ = adapt(support),   θ_j = adapt(task_j) for each earlier task j,   q = K·θ,   k_j = K·θ_j
    a_j = m_j·exp(q·k_j / √width) / Σ_i m_i·exp(q·k_i / √width),   r = Σ_j a_j·(θ_0 + c ∘ (θ_j − θ_0))
    φ = g(θ, {θ_j}_{j<i}) = θ + σ(s) ∘ (r − θ)

`θ_0` is the start of adaptation, and `m_j = Σ w` is the total weight of task j. `K`, `s` and `c` are learned. `K`
decides which earlier tasks to attend to, `s` how far each parameter moves towards them, and `c` how far to extrapolate.
A few steps on few examples stop short of the optimum, and so does the mean of many such results. `c` can extrapolate
this mean, but scaling a single task's update would amplify its noise.

This is a plain form of meta-networks, after Munkhdalai & Yu 2017, "Meta Networks", §3: a function g maps the parameters
of this task and a memory of earlier tasks to the parameters that predict. With equal attention and c = 1 it is
shrinkage of θ towards a mean (Efron & Morris 1975, "Data Analysis Using Stein's Estimator"), with a learned weight for
each parameter. The memory holds the result of each earlier task, not its uncertainty. If tasks have so few examples
that each task determines the parameters in some directions only, pooling the examples would be better than any g (see
`mapsto.tasks.LinearStream`).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from ..adaptation.batching import each_task
from ..adaptation.coordinates import joined, parted
from ..adaptation.differentiation import Differentiation
from ..adaptation.normalisation import statistics_of
from ..episodes import Episode, Examples
from .maml import MAML, Adapted
from .matching import attention
from .wrapped import Wrapped


class MemoryFusion(Wrapped):
    """Adapt by gradient descent, then move the parameters towards the adapted parameters of similar earlier tasks.

    The examples of the j earlier tasks are stored in `episode.context`, with a leading task axis: x `[j, n, ...]`, y
    `[j, n, ...]` and w `[j, n]`. An earlier task whose weights sum to 0 is ignored. If there is no earlier task, the
    parameters are not moved.

    Args:
        learner: the `MAML` learner that adapts to this task and to each earlier task. Its initial parameters are
            learned together with the fusion.
        width: the size of the key vectors by which this task is compared with earlier tasks.

    Raises:
        MapstoError: if `width` is below 1, or `learner` is not a `MAML`. The method `adapt_to` raises MapstoError if
            `learner` adapts only the head, and the head differs in size from the layer that the body registered last.

    >>> from mapsto.episodes import Episode, examples
    >>> fused = MemoryFusion(MAML(nn.Linear(1, 1, bias=False), loss="mse", lr=0.25))
    >>> _ = nn.init.zeros_(fused.learner.body.weight)
    >>> here, there = (examples(torch.ones(1, 1), torch.full((1, 1), y)) for y in (4.0, 8.0))
    >>> earlier = Examples(*(leaf[None] for leaf in there))
    >>> fused.adapt_to(Episode(here, here, context=earlier)).params["weight"]  # half-way between 2 (here) and 4 (there)
    tensor([[3.]], grad_fn=<ViewBackward0>)
    """

    family = "memory-based"

    def __init__(self, learner: MAML, width: int = 8):
        checks.count(width=width)
        checks.expect(isinstance(learner, MAML), "learner", type(learner).__name__, "MAML, whose parameters are fused")
        super().__init__(learner)
        self.learner, self._route = learner, None
        size = sum(dict(learner.body.named_parameters())[name].numel() for name in learner.adapted)
        self.key = nn.Linear(size, width, bias=False)
        self.share = nn.Parameter(torch.zeros(size))  # s of the formula; σ(0) = ½
        self.stretch = nn.Parameter(torch.ones(size))  # c of the formula

    _route: Differentiation | None

    @property
    def inner(self) -> MAML:
        """The learner that adapts to each task."""
        return self.learner

    @property
    def route(self) -> Differentiation:
        """How derivatives pass through the inner steps on the support set, such as `Reverse()`.

        The inner steps on earlier tasks always use `inner.route`.
        """
        return self._route or self.learner.differentiation

    @route.setter
    def route(self, route: Differentiation) -> None:
        self._route = route

    def adapt(self, support: Examples) -> Adapted:
        """Return the network adapted to the support set alone, without earlier tasks."""
        return self.learner.along(self.route, support)

    def adapt_to(self, episode: Episode) -> Adapted:
        """Return the adapted network after moving its parameters towards the adapted parameters of earlier tasks."""
        here, context = self.adapt(episode.support), episode.context
        size = sum(p.numel() for p in here.params.values())
        got = "'head', but the body registers its head before other layers"
        checks.expect(size == self.key.in_features, "adapt", got, f"the names of its head, {list(here.params)}")
        if context is None or len(context.w) == 0:
            return here
        checks.shape(("j", "n"), "put the axis of earlier tasks before the one of their examples", context=context.w)
        params = parted(self._fuse(joined(here.params), self._remember(context), context.w.sum(-1)), here.params)
        statistics = statistics_of(self.learner.body, params, episode.support.x, episode.support.w)
        return Adapted(params, {} if self.transductive else statistics)

    def _remember(self, context: Examples) -> Float[Tensor, "j p"]:
        """Return the adapted parameters of each earlier task."""
        return each_task(
            self.learner, lambda task: joined(self.learner.adapt(task.support).params), Episode(context, context)
        )

    def _fuse(self, here: Float[Tensor, " p"], earlier: Float[Tensor, "j p"], mass: Float[Tensor, " j"]) -> Tensor:
        scores = self.key(earlier) @ self.key(here) / self.key.out_features**0.5  # [j]
        a = attention(scores[None], mass)[0]  # [j], 0 throughout if no earlier task has weight
        start = joined(self.learner.beginning())  # [p]
        r = start + self.stretch * (a @ (earlier - start))  # [p]
        return here + a.sum() * torch.sigmoid(self.share) * (r - here)
