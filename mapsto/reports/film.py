"""The film of an adaptation as a page: its frames under a slider.

Without scripts the first frame is seen; with them a range input, which every browser lets arrow keys move, shows one
frame at a time. The page's policy names the script by its hash and lets no other run.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checks
from ..figures.film import chosen, film_layers, film_losses, film_outputs, film_path, film_reasons, film_strip
from ..figures.numbers import significant
from ..figures.svg import plain_style
from . import page, words

if TYPE_CHECKING:
    from markupsafe import Markup

    from ..seeing.film import Film

SCRIPT = """for (const film of document.querySelectorAll("[data-film]")) {
  const frames = [...film.querySelectorAll(".frame")], slider = film.querySelector("input");
  const show = () => {
    frames.forEach((frame, i) => { frame.hidden = i !== Number(slider.value); });
    const label = frames[Number(slider.value)].dataset.label;
    film.querySelector("output").textContent = label;
    slider.setAttribute("aria-valuetext", label);
  };
  slider.addEventListener("input", show);
  film.querySelector(".controls").hidden = false;
  show();
}"""
"""Runs every slider of the page that ends with it; the page's policy must allow it, see `POLICY`."""

POLICY = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
"""The `script-src` of a content security policy that lets `SCRIPT` run and no other."""

_FRAMES = 13  # each some hundred kilobytes


def write_film(
    path: str | os.PathLike[str],
    film: Film,
    title: str,
    classes: Sequence[object] = (),
    names: Sequence[object] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write the film of one adaptation (a result of `mt.seeing.film`) as one HTML file with a slider over the steps.

    `path` is the file to write. `title` is the title of the page. `classes` holds the names of the model's outputs.
    `names` holds the names of the explained row's features. `notes` holds sentences to add to the page's overview. If
    there are more than 13 steps, the page shows 13 of them, evenly spread.

    Raises:
        MapstoError: if `classes` or `names` does not have one name for each output or feature, or if the file cannot be
            written.
    """
    _expect_one_each("classes", classes, film.predictions.shape[-1])
    _expect_one_each("names", names, film.row.numel())
    with plain_style():
        text = page.render(
            "film.html.jinja",
            title=title,
            overview=[*overview(film), *notes],
            strip=page.picture(film_strip(film, classes=classes), "Strip: what the model says, step by step."),
            film=slider(film, classes, names),
            reasons=film.attribution is not None,
            script=script(),
            policy=POLICY,
        )
    return page.write(path, text)


def slider(film: Film, classes: Sequence[object] = (), names: Sequence[object] = ()) -> Markup:
    """Return the film as a part of a page that ends with `SCRIPT`; call it within `plain_style()`."""
    from markupsafe import Markup

    steps = chosen(len(film.path), _FRAMES)
    frames = [{"label": label(film, i), "pictures": _pictures(film, i, classes, names)} for i in steps]
    return Markup(page.render("slider.html.jinja", frames=frames).strip())


def _expect_one_each(name: str, texts: Sequence[object], count: int) -> None:
    checks.expect(len(texts) in (0, count), name, len(texts), f"{count}, one for each, or none")


def overview(film: Film) -> list[str]:
    """Say in sentences how the adaptation went."""
    n, losses = len(film.path) - 1, [film.support_loss, film.query_loss]
    support, query = (f"from {significant(float(y[0]))} to {significant(float(y[-1]))}" for y in losses)
    best = int(film.query_loss.argmin())
    sentences = [f"In {words.count(n, 'inner step')} the loss on the support set, which teaches, went {support}, and "
                 f"on the query set, which judges, {query}."]  # fmt: skip
    if 0 < best < n:
        later = "fitted the support set only" if film.support_loss[-1] < film.support_loss[best] else "made both worse"
        sentences.append(f"The query loss was lowest at step {best}: what came after it {later}.")
    return sentences


def label(film: Film, i: int) -> str:
    """Name step `i` by its losses."""
    support, query = (significant(float(y[i])) for y in (film.support_loss, film.query_loss))
    return f"Step {i} of {len(film.path) - 1}: support loss {support}, query loss {query}"


def _pictures(film: Film, i: int, classes: Sequence[object], names: Sequence[object]) -> list[tuple[str, Any]]:
    """Return the heading and the picture of each part of a frame."""
    figures = [
        ("What the model says", film_outputs(film, i, classes)),
        ("How well", film_losses(film, i)),
        ("Where the parameters are", film_path(film, i)),
        ("What moves them on", film_layers(film, i)),
    ]
    if film.attribution is not None:
        figures.append(("Why it says so of one row", film_reasons(film, i, names)))
    return [(heading, page.picture(figure, f"{heading}. {label(film, i)}.")) for heading, figure in figures]


def script() -> Markup:
    """Return `SCRIPT` as a part of a page, not escaped."""
    from markupsafe import Markup

    return Markup(SCRIPT)
