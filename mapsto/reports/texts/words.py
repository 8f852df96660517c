"""The sentences of a page about texts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ...texts.features import plain
from ...texts.scripts import isolated
from ..language import kept
from ..table.words import outcome_counts, right
from ..words import count, listing
from .answer import Answer

_WORDS = 6  # words of a class
_LEAST = 0.005  # contribution of a word that is named


def overview(answer: Answer) -> list[str]:
    """Return the whole page in a few sentences."""
    s, indices = answer.summary, {name: c for c, name in enumerate(answer.classes)}
    labels = np.array([indices[str(label)] for label in answer.question.labels])
    sentences = [
        f"The model learned from {count(len(labels), 'text')} ({outcome_counts(labels, answer.classes)}) and then "
        f"predicted the class of {count(s['texts'], 'other text')}."
    ]
    known = sum(outcome is not None for outcome in answer.outcomes)
    if not known:
        counts = outcome_counts(answer.predicted, answer.classes)
        sentences.append(f"Most probable classes: {counts}. The true classes of these texts are not known.")
    if s["accuracy"] is not None:
        seen = "predicted texts" if known == s["texts"] else "texts with a known class"
        of = "training texts" if s["measured"] == "cross-validation" else seen
        commonest = answer.classes[int(np.bincount(labels).argmax())]
        sentences.append(right(s, f"About {{0}} of 100 {of} that it had not seen", commonest))
    by_sentences = answer.reasons.units.count("sentences")
    long = {0: "", s["texts"]: " The texts are long, so the parts are sentences."}
    some = f" {count(by_sentences, 'text is long; its', 'texts are long; their')} parts are sentences."
    parts = "Every prediction is taken apart into the contributions of its words, which add up to it exactly."
    return [*sentences, parts + long.get(by_sentences, some)]


def of_classes(answer: Answer) -> list[tuple[str, int, str]]:
    """Return each predicted class, the number of its texts, and the words that raised its probability most in them.

    A word's contribution is its mean over the texts of the class, in which texts without the word count as 0.
    """
    e, rows = answer.reasons, []
    for c, name in enumerate(answer.classes):
        texts = [i for i in np.flatnonzero(answer.predicted == c).tolist() if e.units[i] == "words"]
        total: defaultdict[str, float] = defaultdict(float)
        for i in texts:
            for part, value in zip(e.parts[i], e.values[i, : len(e.parts[i]), c], strict=True):
                total[plain(part)] += float(value) / len(texts)
        best = sorted((word for word in total if total[word] >= _LEAST), key=lambda word: (-total[word], word))[:_WORDS]
        if texts:
            rows.append(
                (
                    kept(name),
                    len(texts),
                    listing([f"{isolated(kept(word))} (+{100 * total[word]:.1f})" for word in best]) or "no word",
                )
            )
    return rows


def agreement(measures: dict[str, Any]) -> list[str]:
    """Explain the agreement with exact Shapley values: `r2, cosine, texts, parts`."""
    r2, parts = float(measures["r2"]), int(measures["parts"])
    verdict = (
        "equal to" if r2 >= 0.9999 else "close to" if r2 >= 0.95 else "roughly like" if r2 >= 0.8 else "NOT close to"
    )
    return [
        "There is one fair way to divide a prediction among the words of a text: the Shapley value, which asks what "
        "each word adds to every possible selection of the others. To compute it exactly, the same model must be asked "
        f"about each shortened text, up to {2**parts:,} for one text.",
        f"That was done here for {count(measures['texts'], 'text')} of at most {parts} words. The contributions on "
        f"this page were {verdict} the exact ones: they reproduce {100 * r2:.1f} % of the variation (R² = {r2:.3f}). "
        "For texts of at most 10 words they are the exact ones; for longer texts they are estimated from about a "
        "thousand shortened texts.",
        "Anyone can repeat this from outside: delete some words, ask for the prediction, and compare.",
    ]
