"""Give a learner the context of one episode, so that it reads this context with every support set.

    adapt(support) = learner.adapt_to(episode with this support set)

The context holds the examples of earlier tasks. The functions in `mt.views` and `mt.seeing.film` take an episode in
place of a support set. For all other functions of a learner and a support set, pass `InEpisode(learner, episode)`, so
that they also use the model that `evaluate` scores.
"""

from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State
from .wrapped import Wrapped


class InEpisode(Wrapped):
    """Wrap a learner so that it reads the context of one episode (examples of earlier tasks) with every support set.

    Args:
        learner: a learner with a memory, such as `MemoryFusion`.
        episode: the episode whose context the learner reads. If the episode has noise, the learner reads the noise too.

    >>> import torch
    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MAML, MemoryFusion
    >>> task, earlier = (examples(torch.ones(1, 1), torch.full((1, 1), y)) for y in (4.0, 8.0))
    >>> episode = Episode(task, task, context=Examples(*(leaf[None] for leaf in earlier)))
    >>> learner = MemoryFusion(MAML(torch.nn.Linear(1, 1), loss="mse"))
    >>> remembering = InEpisode(learner, episode)
    >>> torch.equal(remembering.adapt(task).params["bias"], learner.adapt_to(episode).params["bias"])
    True
    """

    family = "wrapper"

    def __init__(self, learner: Learner, episode: Episode):
        super().__init__(learner)
        self.learner, self.episode = learner, episode

    @property
    def inner(self) -> Learner:
        """The wrapped learner, which reads the episode's context."""
        return self.learner

    def adapt(self, support: Examples) -> State:
        """Return the state learned from `support` and from the context of the episode given at construction."""
        return self.learner.adapt_to(self.episode._replace(support=support))

    def adapt_to(self, episode: Episode) -> State:
        """Return the state learned from the support set of `episode`.

        The context of `episode` is ignored: the learner reads the context of the episode given at construction.
        """
        return self.adapt(episode.support)
