"""Noisy 8 × 8 pictures of two tetrominoes, with known reasons for the class, from linear to XOR.

    x = 8·(α·a/‖a‖ + (1−α)·Gη/‖Gη‖)                 linear, rigid, xor;   ‖·‖ the root mean squared norm of an image
    x = 8·(1 − α·a)·Gη / ‖(1 − α·a)‖‖Gη‖·8          multiplicative

    linear          a is a T at a fixed place for one class, and an L at another place for the other class
    multiplicative  the same patterns make the background fainter
    rigid           a is a T or an L, rotated by quarter turns, at a random place
    xor             a = ±T ± L: the two signs are equal in one class and different in the other

Here η is white noise, and G is the identity ("white") or a Gaussian blur of 3 pixels ("correlated"). With correlated
noise, background pixels become suppressors, which good models use and good explanations leave out. Clark, Wilming &
Haufe 2024, "XAI-TRIS: Non-linear image benchmarks to quantify false positive post-hoc attribution of feature
importance"; α, places and patterns follow the 8 × 8 settings that its authors published.

We depart from the authors in three points. The norms are expected values instead of those of a data set, so that each
image can be drawn by itself. The factor 8 makes the mean square of a pixel about 1, while the authors divide by the
largest pixel. Every task rotates and mirrors all its images alike and numbers its classes at random, so that a learner
must read from the support set which pixels matter.
"""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .sampling import Shots, bounds, episode, weights
from .source import Tasks

Scenario = Literal["linear", "multiplicative", "rigid", "xor"]
Background = Literal["white", "correlated"]
SIZE, _BLUR = 8, 3.0
_PUBLISHED = {  # α for white and for correlated background
    "linear": (0.18, 0.0125),
    "multiplicative": (0.7, 0.1),
    "rigid": (0.65, 0.2),
    "xor": (0.35, 0.15),
}
_T = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
_L = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
_PLACES = ((1, 1), (4, 5))  # of the first pixel of the T and of the L


class TetrominoTruth(NamedTuple):
    """The pixels that determine the class, for each image of the episode."""

    support: Bool[Tensor, "T n 1 8 8"]
    query: Bool[Tensor, "T m 1 8 8"]


class XAITris(Tasks):
    """Two-class tasks of 8 × 8 images x `[n, 1, 8, 8]`, in which tetrominoes on a noisy background determine the class.

    `scenario` is "linear", "multiplicative", "rigid" or "xor". It sets how the tetrominoes determine the class; the
    module docstring has the formulas. `background` is the kind of noise, "white" or "correlated". `alpha`, from 0 to 1,
    is the weight of the signal in the image; except in the multiplicative scenario, the noise has weight 1 − `alpha`.
    If `alpha` is None, the published value for the scenario and background is used. Each task has `shots` support
    images and `queries` query images. If `shots` is a pair (low, high), each task has a random number of shots; the
    remaining support rows, up to `high`, are padding with weight 0.

    The method `truth` has the same arguments as `batch` and returns the pixels that determine the class. In the linear
    and multiplicative scenarios, each class has its own tetromino. There, the pixels of both tetrominoes are returned
    for every image, because the absence of one is as informative as the presence of the other. In the rigid and xor
    scenarios, the pixels of the tetrominoes in the image are returned.

    >>> tasks = XAITris("xor", shots=16, queries=4)
    >>> tasks.batch(7, count=2).query.x.shape, tasks.truth(7, count=2).query.flatten(2).sum(-1)[0]
    (torch.Size([2, 4, 1, 8, 8]), tensor([8, 8, 8, 8]))

    Raises:
        MapstoError: if the scenario or background is unknown, `alpha` is outside 0 … 1, or `shots` or `queries`
            is below 1.
    """

    def __init__(
        self,
        scenario: Scenario = "linear",
        background: Background = "white",
        shots: Shots = 64,
        queries: int = 64,
        alpha: float | None = None,
    ):
        checks.one_of(get_args(Scenario), scenario=scenario)
        checks.one_of(get_args(Background), background=background)
        published = _PUBLISHED[scenario][background == "correlated"]
        self.alpha = published if alpha is None else alpha
        checks.between(0, 1, alpha=self.alpha)
        checks.count(queries=queries)
        self.scenario, self.background = scenario, background
        self.shots, self.queries = bounds("shots", shots), queries

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        symmetry, swap, which, signal = self._signals(generator, count)
        noise = torch.randn(*which.shape, SIZE * SIZE, generator=generator)
        blurred = noise @ self._filter().T
        x = self._mixed(signal, blurred.view_as(signal) / self._filter().square().sum().sqrt())
        return episode(_turned(SIZE * x, symmetry)[:, :, None], which ^ swap, weights(generator, count, self.shots))

    def truth(self, index: int, count: int, seed: int = 0) -> TetrominoTruth:
        """Return the pixels that determine the class of each image in `batch(index, count, seed)`."""
        symmetry, _, _, signal = self._signals(self.generator(index, count, seed), count)
        fixed = self.scenario in ("linear", "multiplicative")
        mask = patterns().sum(0).expand_as(signal) if fixed else signal
        mask = _turned(mask != 0, symmetry)[:, :, None]
        return TetrominoTruth(mask[:, : self.shots[1]], mask[:, self.shots[1] :])

    def _signals(
        self, generator: torch.Generator, count: int
    ) -> tuple[Int[Tensor, " T"], Int[Tensor, "T 1"], Int[Tensor, "T n"], Float[Tensor, "T n 8 8"]]:
        """Draw the symmetry and numbering of each task, and the class and signal of each image before rotation."""
        rows = self.shots[1] + self.queries
        symmetry = torch.randint(8, (count,), generator=generator)
        swap = torch.randint(2, (count, 1), generator=generator)
        which = torch.randint(2, (count, rows), generator=generator)
        detail = torch.rand(count, rows, 3, generator=generator)
        if self.scenario == "rigid":
            return symmetry, swap, which, _anywhere()[which, (len(_anywhere()[0]) * detail[..., 0]).long()]
        if self.scenario == "xor":
            sign = torch.where(detail[..., :1] < 0.5, -1.0, 1.0)
            both = torch.cat([sign, sign * (1 - 2 * which[..., None])], -1)  # [T, n, 2]
            return symmetry, swap, which, torch.einsum("tnp,pij->tnij", both, patterns())
        return symmetry, swap, which, patterns()[which]

    def _mixed(self, signal: Float[Tensor, "T n 8 8"], noise: Float[Tensor, "T n 8 8"]) -> Float[Tensor, "T n 8 8"]:
        """Mix the signal and the noise, each of which has a mean squared norm of 1."""
        pixels = 8 if self.scenario == "xor" else 4
        if self.scenario != "multiplicative":
            return self.alpha * signal / pixels**0.5 + (1 - self.alpha) * noise
        kept = SIZE**2 - pixels + pixels * (1 - self.alpha) ** 2  # the squared norm of 1 − α·a
        return (1 - self.alpha * signal) * noise * SIZE / kept**0.5

    def _filter(self) -> Float[Tensor, "64 64"]:
        return torch.eye(SIZE**2) if self.background == "white" else gaussian_filter(_BLUR)


def patterns() -> Float[Tensor, "2 8 8"]:
    """Return the T and the L at their published places."""
    empty = torch.zeros(2, SIZE, SIZE)
    for image, shape, (row, column) in zip(empty, (_T, _L), _PLACES, strict=True):
        image[row : row + 3, column : column + 2] = shape
    return empty


def gaussian_filter(sigma: float) -> Float[Tensor, "64 64"]:
    """Return the matrix that blurs an image by a Gaussian cut at 4 σ, mirroring the image at its edges."""
    offset = torch.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    weight = torch.softmax(-offset.square() / (2 * sigma**2), 0)
    place = (torch.arange(SIZE)[:, None] + offset) % (2 * SIZE)
    seen = torch.minimum(place, 2 * SIZE - 1 - place)  # [8, offsets]
    row = torch.zeros(SIZE, SIZE).scatter_add(1, seen, weight.expand(seen.shape).contiguous())
    return torch.kron(row, row)


def _anywhere() -> Float[Tensor, "2 c 8 8"]:
    """Return all signals of the rigid scenario: the T and the L in each of the four rotations at each place."""
    images = []
    for shape in (_T, _L):
        for turned in (shape.rot90(turn) for turn in range(4)):
            height, width = turned.shape
            for row in range(SIZE - height + 1):
                for column in range(SIZE - width + 1):
                    image = torch.zeros(SIZE, SIZE)
                    image[row : row + height, column : column + width] = turned
                    images.append(image)
    return torch.stack(images).unflatten(0, (2, -1))


def _turned(images: Tensor, symmetry: Int[Tensor, " T"]) -> Tensor:
    """Apply one of the eight symmetries of the square to all images `[T, n, 8, 8]` of a task."""
    mirrored = torch.where(symmetry[:, None, None, None] < 4, images, images.flip(-1))
    turns = torch.stack([mirrored.rot90(turn, (-2, -1)) for turn in range(4)])  # [4, T, n, 8, 8]
    return turns[symmetry % 4, torch.arange(len(images))]
