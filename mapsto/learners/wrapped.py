"""The base of learners that wrap another learner and change one thing about it."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Shaped
from torch import Tensor

from ..adaptation.differentiation import Differentiation
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State


class Wrapped(Learner, ABC):
    """The base of learners that adapt and predict as their `inner` learner does, except for one change."""

    def __init__(self, inner: Learner):
        super().__init__()
        self.criterion, self.transductive = inner.criterion, inner.transductive

    @property
    @abstractmethod
    def inner(self) -> Learner:
        """The wrapped learner, which adapts and predicts."""

    @property
    def differentiation(self) -> Differentiation | None:
        """How the inner learner's loss is differentiated through its inner loop, see `Learner`."""
        return self.inner.differentiation

    @differentiation.setter
    def differentiation(self, route: Differentiation | None) -> None:
        self.inner.differentiation = route

    @property
    def route(self) -> Differentiation | None:
        """How the result of the inner learner's `adapt` is differentiated, see `Learner`."""
        return self.inner.route

    @route.setter
    def route(self, route: Differentiation) -> None:
        self.inner.route = route

    def adapt(self, support: Examples) -> State:
        """Return the state that the inner learner learns from the support set."""
        return self.inner.adapt(support)

    def adapt_to(self, episode: Episode) -> State:
        """Return the state that the inner learner learns from an episode; override it together with `adapt`."""
        return self.inner.adapt_to(episode)

    def predict(self, state: State, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of the inner learner."""
        return self.inner.predict(state, x)

    def features(self, state: State, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the features of the inner learner."""
        return self.inner.features(state, x)
