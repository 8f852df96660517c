"""The sentences and the table of numbers of a page about pupils."""

from __future__ import annotations

from typing import Any

from ..words import count
from .answer import Answer

TITLE = "the next answers"
"""What a page is about, behind the name of the log and a colon in its title."""

NAMES = {
    "this model": "this model",
    "others_on_the_item": "the share of right answers by others to the item",
    "the_pupil_so_far": "the share of right answers by the pupil so far",
}


def overview(answer: Answer) -> list[str]:
    """Return the whole page in a few sentences."""
    s = answer.summary
    sentences = [
        f"The log has {count(s['answers'], 'answer')} of {count(s['pupils'], 'pupil')} to {count(s['items'], 'item')} "
        f"about {count(s['skills'], 'skill')}. The next answers of {count(len(answer.pupils), 'pupil')} are predicted."
    ]
    if s["measured_answers"]:
        sentences.append(
            f"On {count(s['measured_answers'], 'answer')} of the log, each predicted from the answers before it, "
            f"{100 * s['accuracy']:.0f} of 100 predictions were right. {beside(s)}"
        )
    sentences.append("Every prediction is taken apart into what each earlier answer did to it, which adds up exactly.")
    return sentences


def beside(summary: dict[str, Any]) -> str:
    """Compare the log loss of the model with that of the better one of the two simple predictions."""
    best = min(summary["baselines"], key=lambda name: summary["baselines"][name]["log_loss"])
    own, other = summary["log_loss"], summary["baselines"][best]["log_loss"]
    verdict = "less than" if own < other else "NOT less than"
    return f"Their log loss is {own:.3f}, {verdict} the {other:.3f} of a simple guess, {NAMES[best]}."


def quality(summary: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return a row for the model and for each simple prediction: the log loss, the accuracy and the AUC."""
    if not summary["measured_answers"]:
        return []
    rows = {"this model": summary, **summary["baselines"]}
    return [
        (NAMES[name], [_number(of[score]) for score in ("log_loss", "accuracy", "auc")]) for name, of in rows.items()
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
