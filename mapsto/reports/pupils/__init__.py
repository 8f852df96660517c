"""A page about pupils: predictions of their next answers, the earlier answers behind them, and what to ask next."""

from .answer import Answer, answer
from .html import text, write

__all__ = ["Answer", "answer", "text", "write"]
