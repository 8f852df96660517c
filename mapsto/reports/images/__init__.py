"""Images learned from a few examples: predictions, explained, checked and shown on one page."""

from .answer import Answer, answer
from .html import write

__all__ = ["Answer", "answer", "write"]
