"""Omniglot one image at a time, class after class, to test whether a learner forgets the early classes.

Training (Javed & White 2019, "Meta-Learning Representations for Continual Learning", Algorithm 2; Beaulieu et al. 2020,
"Learning to Continually Learn", Algorithm 1) uses a short trajectory of one character; the query set is this trajectory
and a remember set of random images. Testing (both papers, §4) uses a long trajectory of new characters; the query set
is the whole trajectory.

Each split has its own labels. In training, the label of a character is its position among the training characters, in
the trajectory and in the remember set alike, as in the authors' code. Forgetting is then visible in the loss of the
remember set. In validation and testing, the characters are numbered 0 … classes − 1 in the order of the trajectory.

We depart from the authors in one point. We train on 806 of the 964 background characters (they train on 963) and choose
learning rates on the other 158; the authors choose them on the test characters.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .omniglot import Omniglot
from .omniglot_files import DRAWERS
from .sampling import choose
from .source import Tasks


class Trajectories(Tasks):
    """Continual-learning tasks: sequences of Omniglot images `[n, 1, size, size]`, one character after the other.

    The support set has `shots` images of each of `classes` characters, in the order in which the learner reads them.
    The query set has the same images, then `queries` other images of each character. Training episodes also have a
    remember set, in the field `context`: `remember` images of random training characters, which the learner should
    still recognise. Each of these images has the same weight as a query image. `size` and `grey` have the same meaning
    as in `Omniglot`. The characters are divided among the splits as in the scheme "background" of `Omniglot`. The
    module `mapsto.tasks.omniglot_files` describes where the files are stored.

    Raises:
        MapstoError: if `classes` or `shots` is below 1, `queries` or `remember` is below 0, or a character has too few
            images.
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
        checks.count(classes=classes, shots=shots)
        checks.count(0, queries=queries, remember=remember)
        most = f"at most {DRAWERS}, the number of drawings of a character"
        checks.expect(shots + queries <= DRAWERS, "shots + queries", shots + queries, most)
        self.classes, self.shots, self.queries, self.remember = classes, shots, queries, remember
        drawings = Omniglot(ways=2, shots=1, queries=1, scheme="background", rotations="none", size=size, grey=grey)
        self.images, self.pools = drawings.images, {split: pools[0] for split, pools in drawings.pools.items()}

    @property
    def known(self) -> int:
        """The number of training characters, which is the number of outputs that a learner needs."""
        return len(self.pools["train"])

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`. Raises MapstoError if the split has too few characters."""
        pool = self.pools[self.split]
        most = f"at most {len(pool)}, the number of characters in {self.split}"
        checks.expect(self.classes <= len(pool), "classes", self.classes, most)
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
        rows = query_y.shape[1] + (0 if context is None else self.remember)
        return Episode(
            _weighted(x, y, y.shape[1]),
            _weighted(query_x, query_y, rows),
            context=None if context is None else _weighted(*context, rows),
        )

    def _any(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Draw images of any characters of the split, and their labels."""
        pool = self.pools[self.split]
        image = choose(generator, torch.full((count,), DRAWERS * len(pool)), self.remember)  # [T, remember]
        y = image // DRAWERS
        return self._look((pool[y] * DRAWERS + image % DRAWERS)[..., None]), y

    def _look(self, at: Int[Tensor, "T c n"]) -> Tensor:
        images = self.images.index_select(0, at.flatten()) / 255
        return images.view(len(at), at.shape[1] * at.shape[2], 1, *images.shape[1:])


def _weighted(x: Tensor, y: Tensor, rows: int) -> Examples:
    return Examples(x, y, torch.full(y.shape, 1 / rows))
