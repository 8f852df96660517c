"""The base of learners that change one thing about another learner."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from ..adaptation.differentiation import Differentiation
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State


class Wrapped(Learner, ABC):
    """A learner that adapts and predicts as its `inner` learner does; a subclass overrides what it changes."""

    def __init__(self, inner: Learner):
        super().__init__()
        self.loss_name, self.transductive = inner.loss_name, inner.transductive

    @property
    @abstractmethod
    def inner(self) -> Learner:
        """The learner that adapts and predicts."""

    @property
    def differentiation(self) -> Differentiation | None:
        """The route of the inner learner's loss, see `Learner`."""
        return self.inner.differentiation

    @differentiation.setter
    def differentiation(self, route: Differentiation | None) -> None:
        self.inner.differentiation = route

    @property
    def route(self) -> Differentiation | None:
        """The route of the inner learner's `adapt`, see `Learner`."""
        return self.inner.route

    @route.setter
    def route(self, route: Differentiation) -> None:
        self.inner.route = route

    def adapt(self, support: Examples) -> State:
        """Adapt as the inner learner does."""
        return self.inner.adapt(support)

    def adapt_to(self, episode: Episode) -> State:
        """Adapt to an episode as the inner learner does. Override it together with `adapt`."""
        return self.inner.adapt_to(episode)

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Predict as the inner learner does."""
        return self.inner.predict(state, x)

    def features(self, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the inner learner's features."""
        return self.inner.features(state, x)
