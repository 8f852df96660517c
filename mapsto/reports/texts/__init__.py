"""A page about classes of texts: predictions, the words behind them, the training texts, and checks of all three."""

from .answer import Answer, answer
from .html import text, write
from .question import of_texts, of_two_files

__all__ = ["Answer", "answer", "of_texts", "of_two_files", "text", "write"]
