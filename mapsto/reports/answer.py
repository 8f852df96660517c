"""What all answers about a test task have in common, whether a model answers queries or a robot acts."""

from abc import ABC, abstractmethod
from typing import Any


class Answer(ABC):
    """The answer to a question about a test task; its page, its lines and its JSON are made of it."""

    @abstractmethod
    def about(self) -> str:
        """Describe the task, and the success of the model or the policy in it."""

    @abstractmethod
    def sections(self) -> dict[str, Any]:
        """Return all that the page shows of the task; call it within `plain_style()`."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Return the answer for a machine."""
