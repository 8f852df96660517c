"""A learner within one episode: it reads the episode's context with every support set.

    adapt(support) = learner.adapt_to(episode with this support set)

Views and films take an episode in place of a support set. `InEpisode` serves all other functions of a learner and a
support set, so that they also use the model that `evaluate` scores.
"""

from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State
from .wrapped import Wrapped


class InEpisode(Wrapped):
    """A learner that adapts to any support set with the memory of one episode.

    Args:
        learner: the learner, such as `MemoryFusion`.
        episode: the task whose context, and noise if there is any, the learner reads.

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
        """The learner that reads the episode's context."""
        return self.learner

    def adapt(self, support: Examples) -> State:
        """Return the state learned from `support` and the episode's context."""
        return self.learner.adapt_to(self.episode._replace(support=support))

    def adapt_to(self, episode: Episode) -> State:
        """Adapt to another episode's support set, with the context of this one."""
        return self.adapt(episode.support)
