"""Omniglot one image at a time, class after class: what is learned early must survive what is learned late.

Training (Javed & White 2019, "Meta-Learning Representations for Continual Learning", Algorithm 2; Beaulieu et al. 2020,
"Learning to Continually Learn", Algorithm 1): a short trajectory of one character, judged on the trajectory and on a
remember set of random images. Testing (both papers, §4): a long trajectory of new characters, judged on all of it.

The label space is each split's own. In training a character has one number, its place among the training characters, in
the trajectory and in the remember set alike, as in the authors' code, so that learning the one can be seen to disturb
the other. In validation and testing the characters are 0 … classes − 1 in the order they come in, for outputs that
nothing has been learned on. We depart from the authors in training on 806 of the 964 background characters (they take
963), because the other 158 choose learning rates, which they choose on the characters of the test.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from ..episodes import Episode, Examples
from ..errors import MapstoError
from .omniglot import Omniglot
from .omniglot_files import DRAWERS
from .sampling import choose, whole
from .source import Tasks


class Trajectories(Tasks):
    """Sequences of images `[n, 1, size, size]`, ink 1 on 0: `shots` of each of `classes` characters, in order.

    The query set is the trajectory's own images, in the same order, then `queries` others of each character. In
    training `context` is a remember set of `remember` images of any training characters, and each of its rows weighs
    as much as one of the query set: the two are judged together. Characters are those of Omniglot's "background"
    scheme; files: see `omniglot_files`.

    Raises:
        MapstoError: a number below 1 (0 for `queries` and `remember`), or more images than a character has.
    """

    def __init__(
        self,
        classes: int = 1,
        shots: int = 20,
        queries: int = 0,
        remember: int = 64,
        size: int = 28,
        grey: bool = True,
    ):
        self.classes, self.shots = whole("classes", classes), whole("shots", shots)
        if min(queries, remember) < 0:
            raise MapstoError(f"queries, remember: got {queries} and {remember}, expected numbers from 0.")
        if shots + queries > DRAWERS:
            raise MapstoError(
                f"shots, queries: got {shots} and {queries}, expected at most {DRAWERS} together: so often was each "
                "character drawn."
            )
        self.queries, self.remember = queries, remember
        drawings = Omniglot(ways=2, shots=1, queries=1, scheme="background", rotations="none", size=size, grey=grey)
        self.images, self.pools = drawings.images, {split: pools[0] for split, pools in drawings.pools.items()}

    @property
    def known(self) -> int:
        """How many characters training has, and so how many outputs a learner needs for it."""
        return len(self.pools["train"])

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` trajectories; see `Tasks.draw`. Raises MapstoError where the split has too few characters."""
        pool = self.pools[self.split]
        if len(pool) < self.classes:
            raise MapstoError(
                f"classes: got {self.classes}, expected at most {len(pool)}, the characters of {self.split}; lower it."
            )
        chosen = choose(generator, torch.full((count,), len(pool)), self.classes)  # [T, classes]
        drawers = choose(generator, torch.full_like(chosen, DRAWERS), self.shots + self.queries)  # [T, classes, s + q]
        train = self.split == "train"
        labels = chosen if train else torch.arange(self.classes).expand_as(chosen)
        at = pool[chosen][..., None] * DRAWERS + drawers
        own, others = at.split([self.shots, self.queries], -1)
        x, y = self._look(own), labels.repeat_interleave(self.shots, 1)
        query_x = torch.cat([x, self._look(others)], 1)
        query_y = torch.cat([y, labels.repeat_interleave(self.queries, 1)], 1)
        context = self._any(generator, count) if train and self.remember else None
        judged = query_y.shape[1] + (0 if context is None else self.remember)
        return Episode(
            _weighed(x, y, y.shape[1]),
            _weighed(query_x, query_y, judged),
            context=None if context is None else _weighed(*context, judged),
        )

    def _any(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Draw images of any characters of the split, and their numbers."""
        pool = self.pools[self.split]
        drawn = choose(generator, torch.full((count,), DRAWERS * len(pool)), self.remember)  # [T, remember]
        y = drawn // DRAWERS
        return self._look((pool[y] * DRAWERS + drawn % DRAWERS)[..., None]), y

    def _look(self, at: Int[Tensor, "T c n"]) -> Tensor:
        images = self.images.index_select(0, at.flatten()) / 255
        return images.view(len(at), at.shape[1] * at.shape[2], 1, *images.shape[1:])


def _weighed(x: Tensor, y: Tensor, rows: int) -> Examples:
    return Examples(x, y, torch.full(y.shape, 1 / rows))
