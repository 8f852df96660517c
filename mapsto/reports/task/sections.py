"""The sections of a page that tell of one test task: each turns the answer into pictures and words.

answer ↦ {pictures, captions, rows of text}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from ...figures import answers
from ...figures.film import film_strip
from ...figures.numbers import cell, points, significant
from ...figures.reasons import one_input, reasons
from .. import page
from ..film import overview, slider
from ..words import count, listing
from .teaching import strongest, teaching
from .trust import trust

if TYPE_CHECKING:
    from .answer import Reasons, TaskAnswer


def sections(answer: TaskAnswer) -> dict[str, Any]:
    """Return all that the page shows of a test task; call it within `plain_style()`."""
    parts = answer.reasons
    return {
        "template": "task.html.jinja",
        "name": answer.name,
        "about": about(answer),
        "answers": _answers(answer),
        "reasons": None if parts is None else _reasons(answer, parts),
        "teaching": None if answer.teaching is None else teaching(answer, answer.teaching),
        "film": _film(answer),
        "trust": None if parts is None or answer.x[0].size == 1 else trust(parts.trust, len(answer.x)),
        "regimes": regimes(answer),
        "choices": answer.choices,
        "missing": _missing(answer),
        "unit": answer.unit,
        "regression": answer.classes is None,
        "images": answer.images,
        "one_input": answer.x[0].size == 1,
    }


def about(answer: TaskAnswer) -> str:
    """Describe the task and the model's success on its queries."""
    queries = count(len(answer.x), "query", "queries")
    if answer.classes is None:
        off = np.abs(answer.scores - means(answer.y)).mean()
        result = f"On the {queries} shown here, which it had not seen, it was off by {significant(off)} on average."
    else:
        right = int((answer.outputs.argmax(1) == answer.y).sum())
        result = f"Of the {queries} shown here, which it had not seen, it put {right} in the right class."
    return f"{_taught(answer)} {result} {answer.at_chance}".rstrip()


def _taught(answer: TaskAnswer) -> str:
    n = len(answer.support_x)
    if not n:
        return f"{answer.learner}, a plain network trained on one data set, was asked about {answer.name}."
    examples = count(n, "teaching " + ("image" if answer.images else "example"))
    classes = "" if answer.classes is None else f" of {len(np.unique(answer.support_y))} classes"
    return f"In {answer.name}, {examples}{classes} taught {answer.learner} a new task."


def means(y: Shaped[np.ndarray, "m ..."]) -> Float[np.ndarray, " m"]:
    """Return the mean of each target."""
    return y.reshape(len(y), -1).mean(1)


def _answers(answer: TaskAnswer) -> dict[str, Any]:
    queries = range(len(answer.x))
    rows = [{"answer": answer.answer(i), "truth": answer.truth(i), **_verdict(answer, i)} for i in queries]
    texts = "; ".join(f"query {i}: {row['answer']}, true: {row['truth']}" for i, row in enumerate(rows))
    return {"rows": rows, "picture": page.picture(_drawn(answer), f"What the adapted model says of queries. {texts}.")}


def _drawn(answer: TaskAnswer) -> Any:
    """Draw probabilities, a curve over the one input, or outputs over the truth."""
    if answer.classes is not None:
        images = answer.x if answer.images else None
        return answers.probabilities(answer.outputs, answer.y, answer.classes, images)
    if answer.curve is None:
        return answers.diagonal(means(answer.y), answer.scores)
    support = np.stack([answer.support_x[:, 0], means(answer.support_y)], 1)
    queries = np.stack([answer.x[:, 0], means(answer.y)], 1)
    return answers.curve(answer.curve, support, queries, answer.scores)


def _verdict(answer: TaskAnswer, i: int) -> dict[str, Any]:
    if answer.classes is None:
        return {"right": None, "off": significant(answer.scores[i] - np.mean(answer.y[i]), 2, signed=True)}
    return {"right": bool(answer.outputs[i].argmax() == answer.y[i]), "off": ""}


def _reasons(answer: TaskAnswer, parts: Reasons) -> dict[str, Any]:
    methods = [{"name": name, "about": sentence} for name, sentence in parts.about.items()]
    left_out = [f"{name} is left out: {reason}." for name, reason in parts.left_out.items()]
    return {"methods": methods, "left_out": left_out, "cases": _cases(answer, parts) if parts.values else []}


def _cases(answer: TaskAnswer, parts: Reasons) -> list[dict[str, Any]]:
    if answer.x[0].size > 1:
        return [_case(answer, parts, i) for i in range(len(answer.x))]
    values = {name: answer.scale * v for name, v in parts.values.items()}
    names = [f"query {i}: {cell(float(x.flat[0]))[:6]}" for i, x in enumerate(answer.x)]
    alt = f"Signed bars: what {listing(list(parts.values))} give the one input of each query."
    picture = page.picture(one_input(values, names), alt)
    return [{"heading": "The one input of each query", "picture": picture, "trust": ""}]


def _case(answer: TaskAnswer, parts: Reasons, i: int) -> dict[str, Any]:
    values = {name: answer.scale * v[i] for name, v in parts.values.items()}
    kind = "Heatmaps" if answer.images else "Signed bars"
    first = "" if answer.images else " Largest: " + "; ".join(
        f"{name}: {answer.columns[strongest(v, 1)[0]]}" for name, v in values.items()
    ) + "."  # fmt: skip
    alt = f"{kind}: why the model says {answer.answer(i)} of query {i}, by {listing(list(values))}.{first}"
    heading = f"Query {i}: {answer.answer(i)} (true: {answer.truth(i)})"
    picture = page.picture(reasons(answer.x[i], values, answer.columns), alt)
    return {"heading": heading, "picture": picture, "trust": own_trust(answer, i)}


def own_trust(answer: TaskAnswer, i: int) -> str:
    """Say how far each learned explainer trusts its explanation of query `i`; nothing if there are none."""
    said = listing([f"{name} {100 * trust[i]:.0f} %" for name, trust in answer.own_trust.items()])
    return f"How far the learner's own explainers trust their explanations of it: {said}." if said else ""


def regimes(answer: TaskAnswer) -> list[tuple[str, str, list[str]]]:
    """Return (explainer, regime, cells) for each row of the table that compares the regimes of learned explainers."""

    def percent(share: float | None) -> str:
        return "–" if share is None else f"{100 * share:.0f} %"

    def gap(own: float | None, evaluator: float | None) -> str:
        return "–" if own is None or evaluator is None else f"{points(own - evaluator)} points"

    return [
        (of.explainer, of.regime, [percent(of.agreement), percent(of.evaluator), gap(of.own, of.evaluator),
                                   percent(of.trust)])
        for of in answer.regimes
    ]  # fmt: skip


def _film(answer: TaskAnswer) -> dict[str, Any] | None:
    if answer.film is None:
        return None
    classes = answer.classes or ()
    return {
        "overview": overview(answer.film),
        "strip": page.picture(film_strip(answer.film, classes=classes), "Strip: what the model says, step by step."),
        "slider": slider(answer.film, classes, answer.columns),
        "reasons": answer.film.attribution is not None,
    }


def _missing(answer: TaskAnswer) -> dict[str, str]:
    """Say of each part that could not be made why there is none."""
    sentences = {part: f"This part could not be made: {reason}." for part, reason in answer.missing.items()}
    if "no inner gradient steps" in sentences.get("film", ""):
        sentences["film"] = f"{answer.learner} adapts without inner gradient steps, so there are none to film."
    if not len(answer.support_x):
        sentences["taught"] = "A plain network has no teaching examples: its training data made it."
    return sentences
