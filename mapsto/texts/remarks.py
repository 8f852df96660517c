"""Remarks on training texts: texts without a word are refused; repetitions and contradictions are said."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from .. import checks
from .words import join, words


def refuse_empty(texts: Sequence[str], rows: Int[np.ndarray, " m"]) -> None:
    """Raise MapstoError if one of the texts at the positions `rows` has no word."""
    empty = [int(i) for i in rows if not words(texts[i])]
    got = f"{len(empty)} text(s) without a word, the first at position {(*empty, 0)[0]}"
    checks.expect(not empty, "texts", got, "at least one word in each training text", "leave them out")


def remarks(texts: Sequence[str], y: Int[np.ndarray, " n"]) -> list[str]:
    """Return notes on training texts of the classes `y`.

    >>> remarks(["Hi!", "hi!", "bye"], np.array([0, 1, 1]))
    ['texts: 1 training text(s) occur in more than one class.']
    """
    plain = [join(words(text)).casefold() for text in texts]
    pairs = set(zip(plain, y.tolist(), strict=True))
    repeated = len(plain) - len(pairs)
    contradictory = sum(number > 1 for number in Counter(text for text, _ in pairs).values())
    notes = [f"texts: {repeated} training text(s) repeat another one of their class; all of them count."]
    contradictions = [f"texts: {contradictory} training text(s) occur in more than one class."]
    return [*(notes if repeated else []), *(contradictions if contradictory else [])]
