"""The answer about a table with the user's words in the private alphabet, so that its page can be translated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ..private import hide, hide_cells, hide_quoted, hide_table
from .question import Question
from .reading import Reading

TITLE = "Predictions and their reasons"
"""The title of a page to which a user gives none."""

_UNNAMED = "outcome"
"""What an outcome is called that has no name: a word of the page, unless a file has a column of that name."""


class Said(NamedTuple):
    """What the page says in words of its own around words of the user: readings of columns, and sentences.

    Attributes:
        title: the title of the page.
        columns: how each column was read.
        about: sentences about the reading of the table.
        notes: sentences about the table.
    """

    title: str
    columns: list[Reading]
    about: list[str]
    notes: list[str]


def hidden(answer: Any) -> Any:
    """Return the answer whose columns, classes, rows and cells are in the private alphabet."""
    e, s = answer.reasons, answer.summary
    reasons = replace(
        e,
        data=hide_cells(e.data),
        feature_names=[hide(str(name)) for name in e.feature_names],
        class_names=[hide(name) if isinstance(name, str) else name for name in e.class_names],
    )
    about_one = answer.question.amount is None and len(answer.targets) == 1
    positive = str(reasons.class_names[answer.targets[0]]) if about_one else None  # it was chosen by its letters
    return replace(answer, question=_question(answer.question, positive), reasons=reasons, summary=_summary(s))


def hidden_said(said: Said) -> Said:
    """Return what the page says with the user's words in the private alphabet."""
    title = said.title if said.title == TITLE else hide(said.title)
    about, notes = ([hide_quoted(sentence) for sentence in part] for part in (said.about, said.notes))
    return Said(title, [_reading(column) for column in said.columns], about, notes)


def hidden_question(question: Question) -> Question:
    """Return the question whose rows and outcomes are in the private alphabet."""
    return replace(
        question,
        train=hide_table(question.train),
        labels=hide_cells(question.labels),
        rows=hide_table(question.rows),
        outcomes=hide_cells(question.outcomes),
        others=hide_table(question.others),
        other_outcomes=hide_cells(question.other_outcomes),
    )


def _question(question: Question, positive: str | None) -> Question:
    amount = question.amount
    if amount is not None and (question.source is not None or amount.name != _UNNAMED):
        amount = replace(amount, name=hide(amount.name), unit=hide(amount.unit))
    choices = replace(question.choices, positive=positive)
    return replace(hidden_question(question), choices=choices, amount=amount)


def _summary(summary: dict[str, Any]) -> dict[str, Any]:
    classes, positive = summary.get("per_class"), summary.get("positive")
    return {
        **summary,
        "positive": None if positive is None else hide(positive),
        "per_class": None if classes is None else {hide(name): scores for name, scores in classes.items()},
    }


def _reading(reading: Reading) -> Reading:
    plain = reading.kind in ("number", "date")  # a range
    return reading._replace(
        name=hide(reading.name),
        unit=hide(reading.unit),
        values=reading.values if plain else hide(reading.values),
        why=hide_quoted(reading.why),
    )
