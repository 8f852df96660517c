"""Episodes from labelled texts: a few texts of each class teach, others of the same classes are to be classified."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from .. import checks
from ..episodes import Episode
from ..tables.tablefile import read
from ..texts.features import numbers
from ..texts.reading import read_texts
from ..texts.words import words
from .arrays import missing
from .classes import Splits, divide, episodes, pick, require, shape
from .sampling import Shots
from .source import Tasks


class Texts(Tasks):
    """N-way K-shot tasks of texts x `[n, m]`, given as the hashed features of their words (int64, 0 is padding).

    The classes are divided among the splits, so the texts of the validation and test tasks have classes that training
    never sees. `mt.models.TextEncoder` reads these inputs.

    Args:
        texts: the texts; or the path of a table, such as a CSV file, that holds them in the column `column`.
        labels: the label of each text; or the name of the column of the table that holds the labels.
        ways: the number of classes in a task.
        shots: the number of support texts of each class, or a pair (low, high) as in `Arrays`.
        queries: the number of query texts of each class.
        column: the name of the column of the table that holds the texts.
        splits: the fractions of the classes for train, validation and test, or the classes of each split, as in
            `Arrays`.
        seed: the random seed for dividing the classes.
        hidden: the highest probability with which a word is hidden. For each text that is drawn, the probability is
            uniform from 0 to `hidden`. Explanations hide words, so a model that is to be explained should know such
            texts.

    Raises:
        MapstoError: if the table cannot be read or lacks a column, a text or a label is missing or is no text, there
            are too few classes, or a class has too few texts.

    >>> texts = ["my card is lost", "I lost my card", "what time is it", "tell me the time"]
    >>> tasks = Texts(texts, ["card", "card", "time", "time"], ways=2, shots=1, queries=1, splits=(1, 0, 0))
    >>> tasks.batch(0, count=3).support.x.dtype
    torch.int64
    """

    def __init__(
        self,
        texts: Any,
        labels: Any = "label",
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        column: str = "text",
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
        hidden: float = 0.0,
    ):
        self.shape = shape(ways, shots, queries)
        checks.between(0, 1, hidden=hidden)
        contents, classes = _columns(texts, labels, column)
        names, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
        order = np.argsort(codes, kind="stable")  # groups the texts by class
        of_words = [words(text) for text in contents]
        self.x, self.places = (torch.from_numpy(part[order]) for part in numbers(of_words))
        self.most = max(map(len, of_words), default=0)  # words of a text
        self.names, self.hidden = names.tolist(), hidden
        self.sizes = torch.from_numpy(sizes)
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.pools = divide(self.names, splits, seed)
        require(self.names, self.sizes, self.shape, self.pools, "labels")

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` episodes; see `Tasks.draw`. Raises MapstoError if the split has fewer classes than `ways`."""
        chosen = pick(generator, self.pools[self.split], self.shape.ways, count)

        def look(classes: Int[Tensor, "T n"], rows: Int[Tensor, "T n"]) -> Int[Tensor, "T n m"]:
            x, places = (part.index_select(0, rows.flatten()) for part in (self.x, self.places))
            if self.hidden:
                share = self.hidden * torch.rand(len(x), 1, generator=generator)
                seen = torch.rand(len(x), self.most, generator=generator) >= share
                x = x * seen.gather(1, places)
            return x.view(*rows.shape, -1)

        return episodes(generator, chosen, self.starts[chosen], self.sizes[chosen], self.shape, look)


def _columns(texts: Any, labels: Any, column: str) -> tuple[list[str], np.ndarray]:
    """Return the texts and their labels, read from a table if `texts` is a path."""
    if isinstance(texts, str | Path):
        table, path = read(texts).table, texts
        checks.expect(isinstance(labels, str), "labels", type(labels).__name__, f"the name of a column of {path}")
        for argument, name in (("column", column), ("labels", labels)):
            some = ", ".join(map(repr, table.columns[:8]))
            checks.expect(name in table.columns, argument, repr(name), f"a column of {path}", f"it has {some}")
        texts, labels = table[column], table[labels].to_numpy()
    texts, labels = read_texts(texts), np.asarray(labels)
    checks.shape((len(texts),), "pass one label for each text", labels=labels)
    empty = int(missing(labels).sum())
    checks.expect(not empty, "labels", f"{empty} missing label(s)", "none", "leave those texts out")
    mixed = labels.dtype == object and len({isinstance(label, str) for label in labels.tolist()}) > 1
    checks.expect(not mixed, "labels", "texts and numbers", "labels of one type", "write all of them as texts")
    return texts, labels
