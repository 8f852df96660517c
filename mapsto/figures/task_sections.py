"""The sections of a run's report that tell one test task: each turns the facts into pictures and words.

facts ↦ {pictures, captions, rows of text}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..measures.faithfulness.trust import Trust
from . import page, style, words
from .answers import answers
from .film import film_strip
from .reasons import one_input, reasons
from .slider import overview, slider
from .task_facts import Reasons, TaskFacts, Taught
from .taught import IMAGES, change, name, place, strongest, taught_cells, taught_images, taught_rows
from .trusted import trusted
from .verdicts import verdict

JUDGED = {
    "gap": ("Insertion − deletion", "larger is better", "area between the two curves (larger is better)"),
    "infidelity": ("Infidelity", "smaller is better", "squared error (smaller is better)"),
    "max-sensitivity": ("Max-sensitivity", "smaller is better", ""),
}


def task(facts: TaskFacts) -> dict[str, Any]:
    """Return all that the page shows of a test task; call it within `page.plain_style()`."""
    return {
        "name": facts.name,
        "about": about(facts),
        "answers": _answers(facts),
        "reasons": None if facts.reasons is None else _reasons(facts, facts.reasons),
        "taught": None if facts.taught is None else _taught(facts, facts.taught),
        "film": _film(facts),
        "trust": None if facts.reasons is None else _trust(facts, facts.reasons),
        "missing": _missing(facts),
        "unit": facts.unit,
        "regression": facts.classes is None,
        "images": facts.images,
        "one_input": facts.x[0].size == 1,
    }


def about(facts: TaskFacts) -> str:
    """Say what the task is, and how many of its queries the model got right."""
    n, m, what = len(facts.support_x), len(facts.x), "image" if facts.images else "example"
    if facts.classes is None:
        off = np.abs(facts.scores - facts.y.reshape(m, -1).mean(1)).mean()
        return (
            f"In {facts.name}, {words.count(n, 'teaching ' + what)} taught {facts.learner} a new task. On the "
            f"{words.count(m, 'query')} told here, which it had not seen, it was off by {words.number(off)} on average."
        ).replace("querys", "queries")
    right = int((facts.outputs.argmax(1) == facts.y).sum())
    told = np.unique(facts.support_y)
    return (
        f"In {facts.name}, {words.count(n, 'teaching ' + what)} of {len(told)} classes taught {facts.learner} a new "
        f"task. Of the {m} queries told here, which it had not seen, it put {right} in the right class."
    )


def _answers(facts: TaskFacts) -> dict[str, Any]:
    rows = [{"answer": facts.answer(i), "truth": facts.truth(i), **_judged(facts, i)} for i in range(len(facts.x))]
    told = "; ".join(f"query {i}: {row['answer']}, true: {row['truth']}" for i, row in enumerate(rows))
    return {"rows": rows, "picture": page.picture(answers(facts), f"What the adapted model says of queries. {told}.")}


def _judged(facts: TaskFacts, i: int) -> dict[str, Any]:
    if facts.classes is None:
        off = float(facts.scores[i] - np.mean(facts.y[i]))
        return {"right": None, "off": format(off, "+.2g").replace("-", "−")}
    return {"right": bool(facts.outputs[i].argmax() == facts.y[i]), "off": ""}


def _reasons(facts: TaskFacts, found: Reasons) -> dict[str, Any]:
    methods = [{"name": name, "about": said} for name, said in found.about.items()]
    left_out = [f"{name} is left out: {reason}." for name, reason in found.left_out.items()]
    return {"methods": methods, "left_out": left_out, "cases": _cases(facts, found) if found.values else []}


def _cases(facts: TaskFacts, found: Reasons) -> list[dict[str, Any]]:
    if facts.x[0].size == 1:
        values = {name: facts.scale * one for name, one in found.values.items()}
        names = [f"query {i}: {style.cell(float(facts.x[i].flat[0]))[:6]}" for i in range(len(facts.x))]
        alt = f"Signed bars: what {words.listing(list(found.values))} give the one input of each query."
        return [{"heading": "The one input of each query", "picture": page.picture(one_input(values, names), alt)}]
    return [_case(facts, found, i) for i in range(len(facts.x))]


def _case(facts: TaskFacts, found: Reasons, i: int) -> dict[str, Any]:
    values = {name: facts.scale * one[i] for name, one in found.values.items()}
    kind = "Heatmaps" if facts.images else "Signed bars"
    most = "" if facts.images else " Largest: " + "; ".join(
        f"{name}: {facts.columns[strongest(one, 1)[0]]}" for name, one in values.items()
    ) + "."  # fmt: skip
    alt = f"{kind}: why the model says {facts.answer(i)} of query {i}, by {words.listing(list(values))}.{most}"
    heading = f"Query {i}: {facts.answer(i)} (true: {facts.truth(i)})"
    return {"heading": heading, "picture": page.picture(reasons(facts.x[i], values, facts.columns), alt)}


def _taught(facts: TaskFacts, found: Taught) -> dict[str, Any]:
    draw = taught_images if facts.images else taught_rows
    most = [f"{_example(facts, j)} ({change(facts, found.examples[j])})" for j in strongest(found.examples, 2)]
    alt = f"Teaching examples that did most to query {found.query}: {words.listing(most)}."
    shown, every = min(IMAGES, len(facts.support_x)), len(facts.support_x)
    images = "The teaching examples" if shown == every else f"The {shown} of {every} teaching examples that did most"
    pictures = [(images if facts.images else "Whole examples", page.picture(draw(facts, found), alt))]
    if found.cells is not None and not facts.images and facts.support_x.shape[1] > 1:
        cells = f"Heatmap: what each cell of the teaching examples gave the score of query {found.query}."
        pictures.append(("Their cells", page.picture(taught_cells(facts, found), cells)))
    return {
        "query": found.query,
        "answer": facts.answer(found.query),
        "pictures": pictures,
        "most": f"The example that did most is {_example(facts, strongest(found.examples, 1)[0])}: "
        f"{change(facts, found.examples[strongest(found.examples, 1)[0]])}.",
        "by_leaving_out": found.by_leaving_out,
        "cells": found.cells is not None,
    }


def _example(facts: TaskFacts, j: int) -> str:
    if facts.support_x[0].size == 1:
        return f"the one at {place(facts, j)}"
    return f"number {j}, {'of ' if facts.classes is not None else 'with target '}{name(facts, j)}"


def _film(facts: TaskFacts) -> dict[str, Any] | None:
    if facts.film is None:
        return None
    classes = facts.classes or ()
    return {
        "overview": overview(facts.film),
        "strip": page.picture(film_strip(facts.film, classes=classes), "Strip: what the model says, step by step."),
        "slider": slider(facts.film, classes, facts.columns),
        "reasons": facts.film.attribution is not None,
    }


def _missing(facts: TaskFacts) -> dict[str, str]:
    """Say of each part that could not be had why there is none."""
    said = {part: f"This part could not be made: {reason}." for part, reason in facts.missing.items()}
    if "no inner gradient steps" in said.get("film", ""):
        said["film"] = f"{facts.learner} adapts without inner gradient steps, so there are none to film."
    return said


def _trust(facts: TaskFacts, found: Reasons) -> dict[str, Any] | None:
    if not found.trusted or facts.x[0].size == 1:
        return None
    pictures = [_compared(found.trusted, measure) for measure in ("gap", "infidelity")]
    return {
        "heads": [(title, better) for title, better, _ in JUDGED.values()],
        "rows": _table(found.trusted),
        "pictures": pictures,
        "verdicts": [verdict(name, one) for name, one in found.trusted.items()],
        "queries": len(facts.x),
    }


def _compared(found: Mapping[str, Mapping[str, Trust]], measure: str) -> tuple[str, Any]:
    title, _, what = JUDGED[measure]
    told = "; ".join(f"{name} {one[measure].explainer.mean:.3g}" for name, one in found.items())
    first = next(iter(found.values()))[measure]
    beside = [f"{label} {one.mean:.3g}" for label, one in (("random values", first.random),
              ("the size of the input", first.magnitude)) if one is not None]  # fmt: skip
    alt = f"{title} of each method, {what}: {told}; for comparison {words.listing(beside)}."
    return title, page.picture(trusted(found, measure, what), alt)


def _table(found: Mapping[str, Mapping[str, Trust]]) -> list[tuple[str, list[str]]]:
    rows = [(name, [_number(one[measure].explainer) for measure in JUDGED]) for name, one in found.items()]
    first = next(iter(found.values()))
    for field, label in (("random", "random values"), ("magnitude", "size of the input")):
        if getattr(first["gap"], field) is not None:
            rows.append((f"({label})", [_number(getattr(first[measure], field)) for measure in JUDGED]))
    return rows


def _number(value: Any) -> str:
    if value is None:
        return "–"
    interval = "" if np.isnan(value.interval) else f" ± {value.interval:.2g}"
    return f"{value.mean:.3g}{interval}".replace("-", "−")
