"""The pictures of a page about images: the training images, each class with its new images, and single predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...figures import numbers, style
from ...figures.heat import heat
from .. import page
from ..words import count
from . import words
from .answer import Answer

_ACROSS, _SHOWN, _CASES = 5, 10, 6  # images side by side, new images of a class, and single predictions


def training(answer: Answer) -> Any:
    """Draw the training images."""
    bare = np.full((len(answer.train), answer.reasons.values.shape[1]), np.nan)
    figure = heat(answer.train, bare, [str(label) for label in answer.labels], _ACROSS)
    return page.picture(figure, f"The training images: {words.listing([str(label) for label in answer.labels])}.")


def classes(answer: Answer) -> list[dict[str, Any]]:
    """Draw the new images of each class under the contributions to the probability of this class."""
    return [_class(answer, c) for c in range(len(answer.classes)) if (answer.true == c).any()]


def _class(answer: Answer, c: int) -> dict[str, Any]:
    name, images = answer.classes[c], np.flatnonzero(answer.true == c)
    right, shown = int((answer.predicted[images] == c).sum()), images[:_SHOWN]
    values, mean = answer.reasons.values[shown][:, :, c], answer.reasons.values[images][:, :, c].mean(0)
    titles = [numbers.percent(answer.probabilities[i, c]) + ("" if answer.predicted[i] == c else " ✗") for i in shown]
    figure = heat(answer.images[shown], values, titles, min(_ACROSS, len(shown)))
    most = words.strongest(mean, list(answer.reasons.feature_names))
    caption = f"{right} of {count(len(images), 'new image')} recognised. Largest mean contributions: {most}."
    alt = f"New images of {style.shorten(name, 40)}, with the contribution of each patch. {caption}"
    return {"heading": name, "picture": page.picture(figure, alt), "caption": caption}


def cases(answer: Answer) -> list[dict[str, Any]]:
    """Draw single predictions."""
    return [_case(answer, i) for i in chosen(answer)]


def chosen(answer: Answer) -> list[int]:
    """Choose images: mistakes, then the least certain prediction of each class, then the most certain predictions."""
    best, predicted = answer.probabilities.max(1), answer.predicted
    order = np.argsort(best, kind="stable")
    least_certain = [next(i for i in order if predicted[i] == c) for c in np.unique(predicted)]
    wrong = np.flatnonzero(predicted != answer.true)[: _CASES - 1]
    return list(dict.fromkeys(map(int, [*wrong, *least_certain, *order[::-1]])))[:_CASES]


def _case(answer: Answer, i: int) -> dict[str, Any]:
    p, e, (first, second) = answer.probabilities[i], answer.reasons, _compared(answer, i)
    name, other = (style.shorten(answer.classes[c], 40) for c in (first, second))
    values = np.stack([np.full(e.values.shape[1], np.nan), e.values[i, :, first], e.values[i, :, second]])
    titles = ["the image\n ", *(f"{answer.classes[c]}\n{numbers.percent(p[c])}" for c in (first, second))]
    right = f"The prediction is right. The second choice is {other}"
    right = right if first == answer.true[i] else f"The prediction is wrong. The true class is {other}"
    names = list(e.feature_names)
    caption = (
        f"The probability of {name} goes from {numbers.percent(e.base_values[i, first])}, for an image of which "
        f"nothing is visible, to {numbers.percent(p[first])}. {right}, with {numbers.percent(p[second])}. Largest "
        f"contributions to {name}: {words.strongest(e.values[i, :, first], names)}. To {other}: "
        f"{words.strongest(e.values[i, :, second], names)}. {words.trust(e, i)}"
    )
    figure = heat(answer.images[[i] * 3], values, titles)
    heading = f"Image {i + 1}: {numbers.percent(p[first])} probability of {name}"
    return {"heading": heading, "picture": page.picture(figure, f"{heading}. {caption}"), "caption": caption}


def _compared(answer: Answer, i: int) -> tuple[int, int]:
    """Return the predicted class, and the true class if it is another one, else the second most probable class."""
    first, second = np.argsort(-answer.probabilities[i], kind="stable")[:2]
    return int(first), int(second if first == answer.true[i] else answer.true[i])
