"""The hashed features of a word: the word itself, and its runs of 3 to 5 characters, as whole numbers from 1.

The numbers are the CRC-32 sums of the features in UTF-8, so that they are the same in every process and in every
version of Python. Number 0 stands for nothing. Words that share a stem share most of their features (Bojanowski et al.
2017, "Enriching Word Vectors with Subword Information").
"""

import functools
import re
import unicodedata
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

SIZES = (3, 4, 5)  # characters of a run
_READ = 18  # characters of a word, of which runs are taken
_ACCENTS = re.compile("[\u0300-\u036f]")


def plain(word: str) -> str:
    """Return a word without the differences that rarely matter: case, accents, width, punctuation at its ends.

    A word of punctuation or symbols only stays as it is.

    >>> plain("«Café!»"), plain("😀"), plain("ＡＢＣ")
    ('cafe', '😀', 'abc')
    """
    folded = _ACCENTS.sub("", unicodedata.normalize("NFKD", word).casefold())
    folded = unicodedata.normalize("NFC", folded).replace("’", "'")
    inside = [i for i, character in enumerate(folded) if unicodedata.category(character)[0] in "LMN"]
    return folded[inside[0] : inside[-1] + 1] if inside else folded


@functools.lru_cache(maxsize=1 << 16)
def features(word: str) -> tuple[int, ...]:
    """Return the numbers of a word's features, without repetition.

    Digits are alike in runs of characters, so that numbers resemble each other.

    >>> features("Card") == features("card,"), len(set(features("cards")) & set(features("card")))
    (True, 6)
    """
    whole = f"<{plain(word)}>"
    shape = re.sub(r"\d", "0", whole[:_READ])
    runs = [shape[i : i + size] for size in SIZES for i in range(len(shape) - size + 1) if size < len(whole)]
    return tuple(dict.fromkeys(max(1, zlib.crc32(run.encode("utf-8", "replace"))) for run in [whole, *runs]))


def numbers(texts: Sequence[Sequence[str]]) -> tuple[Int[np.ndarray, "n m"], Int[np.ndarray, "n m"]]:
    """Return the features of texts, given as their words, and for each feature the position of its word.

    Both have shape `[n, m]`, where m is the largest number of features of a text. Padding has number 0 and position 0.
    """
    rows = [[(j, number) for j, word in enumerate(words) for number in features(word)] for words in texts]
    numbers = np.zeros((len(rows), max([1, *map(len, rows)])), np.int64)
    places = np.zeros_like(numbers)
    for i, row in enumerate(rows):
        if row:
            places[i, : len(row)], numbers[i, : len(row)] = np.array(row).T
    return numbers, places
