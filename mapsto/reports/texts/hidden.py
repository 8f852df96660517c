"""The answer about texts with the user's words in the private alphabet, so that its page can be translated."""

from __future__ import annotations

from dataclasses import replace

from ..private import hide, hide_cells, hide_quoted
from ..table.hidden import hidden_question
from .answer import Answer


def hidden(answer: Answer) -> Answer:
    """Return the answer whose texts, classes and names of rows are in the private alphabet."""
    e = answer.reasons
    names = [hide(name) if isinstance(name, str) else name for name in e.class_names]
    return replace(
        answer,
        question=hidden_question(answer.question),
        reasons=replace(e, data=hide_cells(e.data), class_names=names),
        notes=[hide_quoted(note) for note in answer.notes],
    )
