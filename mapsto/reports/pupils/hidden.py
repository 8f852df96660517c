"""The answer about pupils with the user's words in the private alphabet, so that its page can be translated."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

from ...estimators import PupilTracer
from ..private import hide, hide_quoted, hide_texts
from .answer import Answer
from .words import TITLE


def hidden(answer: Answer) -> Answer:
    """Return the answer whose pupils, items and skills are in the private alphabet."""
    return replace(
        answer,
        tracer=_tracer(answer.tracer),
        pupils=[hide(pupil) for pupil in answer.pupils],
        questions=hide_texts(answer.questions),
        advice={hide(pupil): hide_texts(table) for pupil, table in answer.advice.items()},
        notes=[hide_quoted(note) for note in answer.notes],
    )


def hidden_title(title: str) -> str:
    """Return the title whose end is words of the page if it is `TITLE`."""
    log, colon, end = title.rpartition(": ")
    return f"{hide(log)}{colon}{end}" if end == TITLE else hide(title)


def _tracer(tracer: PupilTracer) -> PupilTracer:
    """Return the model with other words in its log."""
    other = copy(tracer)
    other.log_ = replace(tracer.log_, answers=hide_texts(tracer.log_.answers))
    other.of_pupil_ = {hide(pupil): hide_texts(answers) for pupil, answers in tracer.of_pupil_.items()}
    return other
