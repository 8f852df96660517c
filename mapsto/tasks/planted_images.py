"""Drawn characters with known reasons: some strokes make the class, others are distractors.

    x = min(1, Σ_labels ink(stroke_y + shift) + Σ_distractors ink(stroke + shift)),   ink = clip(½ + width/2 − distance)

A class of a task is a set of label strokes, which are drawn anew for each task and appear in every image of the class.
Each image also has distractor strokes, which are drawn anew for each image. Both kinds come from the same distribution
and are shifted one by one, so that a single image does not show which is which: ink, length, shape and place are alike.
Only the support set shows which strokes matter. An attribution that looks at one image alone finds the label strokes by
chance only.

Arras, Osman & Samek 2022, "CLEVR-XAI", argue for such a known truth. Characters are drawn from strokes as in Lake,
Salakhutdinov & Tenenbaum 2015, but without its grammar.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .classes import episodes, shape
from .sampling import Shots
from .source import Tasks

_REACH = 0.22  # half the span of a stroke, as a fraction of the image
_ROOM = 0.3  # distance of a stroke's centre from the edge, as a fraction of the image
_SEGMENTS = 6  # straight lines in a stroke


class StrokeTruth(NamedTuple):
    """The pixels with ink of each kind of stroke, for each image of the episode; crossings are of both kinds."""

    support: Bool[Tensor, "T n 1 s s"]  # strokes that make the class
    query: Bool[Tensor, "T m 1 s s"]
    support_distractors: Bool[Tensor, "T n 1 s s"]
    query_distractors: Bool[Tensor, "T m 1 s s"]


class PlantedStrokes(Tasks):
    """N-way K-shot tasks of drawings x `[n, 1, size, size]` in [0, 1], whose classes are made of known random strokes.

    Each class of a task has its own `strokes` strokes, which appear in all images of the class. Each image also has
    `distractors` random strokes, which do not depend on its class. Strokes are `width` pixels wide. In each image, each
    stroke is shifted by up to `jitter` pixels in each direction. `ways`, `shots` and `queries` have the same meaning as
    in `Arrays`. The method `truth` has the same arguments as `batch` and returns which pixels belong to the strokes of
    the class, and which to the distractors. The episodes do not hold this information, so that no learner can read it.

    >>> tasks = PlantedStrokes(ways=3, shots=2, queries=4)
    >>> tasks.batch(7, count=2).query.x.shape, tasks.truth(7, count=2).query.shape
    (torch.Size([2, 12, 1, 28, 28]), torch.Size([2, 12, 1, 28, 28]))

    Raises:
        MapstoError: if a number is too small, or `jitter` or `width` is above a quarter of `size`.
    """

    def __init__(
        self,
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        strokes: int = 2,
        distractors: int = 2,
        size: int = 28,
        jitter: float = 1.5,
        width: float = 1.5,
    ):
        self.shape = shape(ways, shots, queries)
        checks.count(strokes=strokes)
        checks.count(0, distractors=distractors)
        checks.count(8, size=size)
        checks.between(0, size / 4, jitter=jitter, width=width)
        checks.above(0, width=width)
        self.strokes, self.distractors = strokes, distractors
        self.size, self.jitter, self.width = size, jitter, width

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        layers = self._layers(generator, count)
        return Episode(_merged(layers.support), _merged(layers.query))

    def truth(self, index: int, count: int, seed: int = 0) -> StrokeTruth:
        """Return two masks for each image in `batch(index, count, seed)`: the class strokes, and the distractors."""
        layers = self._layers(self.generator(index, count, seed), count)
        inked = [part.x[:, :, kind : kind + 1] > 0 for kind in (0, 1) for part in (layers.support, layers.query)]
        return StrokeTruth(*inked)

    def _layers(self, generator: torch.Generator, count: int) -> Episode:
        """Draw tasks whose images have two layers `[2, size, size]`: the label strokes, and the distractors."""
        ways = self.shape.ways
        labels = curves(generator, count, ways, self.strokes) * self.size  # [T, ways, l, p, 2]

        def look(classes: Int[Tensor, "T n"], rows: Int[Tensor, "T n"]) -> Float[Tensor, "T n 2 s s"]:
            label_strokes = labels[torch.arange(count)[:, None], classes]  # [T, n, l, p, 2]
            others = curves(generator, *classes.shape, self.distractors) * self.size
            lines = torch.cat([label_strokes, others], 2)
            shift = self.jitter * (2 * torch.rand(*lines.shape[:3], 1, 2, generator=generator) - 1)
            ink = rasterise(lines + shift, self.size, self.width)  # [T, n, l + o, s, s]
            return torch.stack([ink[:, :, : self.strokes].sum(2), ink[:, :, self.strokes :].sum(2)], 2).clamp(max=1)

        numbers = torch.arange(ways).expand(count, ways)
        return episodes(
            generator, numbers, 0 * numbers, torch.full_like(numbers, self.shape.examples), self.shape, look
        )


def curves(generator: torch.Generator, *shape: int) -> Float[Tensor, "*shape p 2"]:
    """Draw strokes in the unit square as points `[..., p, 2]`; each is an arc or a line bent once, with equal chance.

    The ends of every stroke are equally far apart. The bend, the direction and the place are uniform.
    """
    number = torch.rand(*shape, 5, generator=generator)  # place (2), turn, bend, kind
    centre = _ROOM + (1 - 2 * _ROOM) * number[..., None, :2]
    along = (2 * torch.pi * number[..., 2:3] + torch.tensor([0.0, torch.pi / 2])).cos()  # [..., 2]; a unit vector
    along, bend = _REACH * along, 2 * number[..., 3:4] - 1
    start, end, middle = -along, along, bend * along.flip(-1) * torch.tensor([1.0, -1.0])  # each [..., 2]
    t = torch.linspace(0, 1, _SEGMENTS + 1)[:, None]  # [p, 1]
    start, end, middle = (point[..., None, :] for point in (start, end, middle))  # [..., 1, 2]
    arc = (1 - t) ** 2 * start + 2 * t * (1 - t) * 2 * middle + t**2 * end  # through `middle`
    bent = torch.where(t < 0.5, start + 2 * t * (middle - start), middle + (2 * t - 1) * (end - middle))
    return centre + torch.where(number[..., 4, None, None] < 0.5, arc, bent)


def rasterise(lines: Float[Tensor, "... p 2"], size: int, width: float) -> Float[Tensor, "... s s"]:
    """Draw each polyline, with points (row, column) in pixels, on its own image: ink 1 that fades over one pixel.

    >>> rasterise(torch.tensor([[1.5, 0.0], [1.5, 3.0]]), 3, width=1.0).round(decimals=2)
    tensor([[0., 0., 0.],
            [1., 1., 1.],
            [0., 0., 0.]])
    """
    place = torch.arange(size) + 0.5
    nearest = lines.new_full((*lines.shape[:-2], size, size), torch.inf)  # squared distance
    for a, b in zip(lines.unbind(-2)[:-1], lines.unbind(-2)[1:], strict=True):  # each [..., 2]
        y, x = place - a[..., :1], place - a[..., 1:]  # [..., s]
        way = b - a
        length = way.square().sum(-1).clamp(min=1e-12)[..., None, None]
        along = (y * way[..., :1])[..., :, None] + (x * way[..., 1:])[..., None, :]  # [..., s, s]
        t = (along / length).clamp(0, 1)
        squared = (y.square()[..., :, None] + x.square()[..., None, :]) - 2 * t * along + t.square() * length
        nearest = torch.minimum(nearest, squared)
    return (0.5 + width / 2 - nearest.clamp(min=0).sqrt()).clamp(0, 1)


def _merged(layers: Examples) -> Examples:
    return layers._replace(x=layers.x.sum(2, keepdim=True).clamp(max=1))
