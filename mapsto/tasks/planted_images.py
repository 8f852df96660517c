"""Drawn characters whose reasons are known: some strokes make the class, others are there for no reason.

    x = min(1, Σ_labels ink(stroke_y + shift) + Σ_distractors ink(stroke + shift)),   ink = clip(½ + width/2 − distance)

A class of a task is a few label strokes, drawn anew for each task and found in every image of the class; each image
also has distractor strokes, drawn anew for each image. Both kinds come from one distribution and are shifted one by
one, so that in a single image nothing tells them apart: not ink, length, shape or place. Which strokes matter can only
be read from the support set, and an attribution that looks at one image alone finds the label strokes by chance.

The need for truth that is known by construction: Arras, Osman & Samek 2022, "CLEVR-XAI"; the drawing of characters
from strokes: Lake, Salakhutdinov & Tenenbaum 2015, without its grammar.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..episodes import Episode, Examples
from ..errors import MapstoError
from .classes import episodes, shape
from .sampling import Shots, whole
from .source import Tasks

_REACH, _ROOM = 0.22, 0.3  # half a stroke's span, and how far its centre stays from the edge, in image sizes
_SEGMENTS = 6  # a stroke is so many straight lines


class StrokeTruth(NamedTuple):
    """Where strokes left ink, one image for each image of the episode; where strokes cross, both are True."""

    support: Bool[Tensor, "T n 1 s s"]  # of the strokes that make the class
    query: Bool[Tensor, "T m 1 s s"]
    support_distractors: Bool[Tensor, "T n 1 s s"]
    query_distractors: Bool[Tensor, "T m 1 s s"]


class PlantedStrokes(Tasks):
    """N-way K-shot tasks x `[n, 1, size, size]` in [0, 1] whose classes are made of known strokes, new in each task.

    `strokes` of an image make its class, `distractors` carry no label; every stroke of every image is shifted by up to
    `jitter` pixels each way, and is `width` pixels wide. The truth is not in the episode, where a learner could read
    it: ask `truth` for it, with the arguments of `batch`.

    >>> tasks = PlantedStrokes(ways=3, shots=2, queries=4)
    >>> tasks.batch(7, count=2).query.x.shape, tasks.truth(7, count=2).query.shape
    (torch.Size([2, 12, 1, 28, 28]), torch.Size([2, 12, 1, 28, 28]))

    Raises:
        MapstoError: too few ways, shots, queries, strokes or pixels, or a negative number of distractors or jitter.
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
        self.shape, self.strokes = shape(ways, shots, queries), whole("strokes", strokes)
        if not isinstance(distractors, int) or distractors < 0:
            raise MapstoError(f"distractors: got {distractors}, expected a whole number from 0.")
        if size < 8 or not 0 <= jitter <= size / 4 or not 0 < width <= size / 4:
            raise MapstoError(
                f"size, jitter, width: got {size}, {jitter}, {width}, expected at least 8 pixels, and a jitter from 0 "
                "and a width above 0 that are at most a quarter of the size."
            )
        self.distractors, self.size, self.jitter, self.width = distractors, size, jitter, width

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        layers = self._layers(generator, count)
        return Episode(_merged(layers.support), _merged(layers.query))

    def truth(self, index: int, count: int, seed: int = 0) -> StrokeTruth:
        """Return where the strokes of each image in `batch(index, count, seed)` are."""
        layers = self._layers(self.generator(index, count, seed), count)
        inked = [part.x[:, :, kind : kind + 1] > 0 for kind in (0, 1) for part in (layers.support, layers.query)]
        return StrokeTruth(*inked)

    def _layers(self, generator: torch.Generator, count: int) -> Episode:
        """Draw tasks whose images have two layers `[2, size, size]`: ink that makes the class, and other ink."""
        ways = self.shape.ways
        labels = curves(generator, count, ways, self.strokes) * self.size  # [T, ways, l, p, 2]

        def look(classes: Int[Tensor, "T n"], rows: Int[Tensor, "T n"]) -> Float[Tensor, "T n 2 s s"]:
            taught = labels[torch.arange(count)[:, None], classes]  # [T, n, l, p, 2]
            others = curves(generator, *classes.shape, self.distractors) * self.size
            lines = torch.cat([taught, others], 2)
            shift = self.jitter * (2 * torch.rand(*lines.shape[:3], 1, 2, generator=generator) - 1)
            ink = rasterise(lines + shift, self.size, self.width)  # [T, n, l + o, s, s]
            return torch.stack([ink[:, :, : self.strokes].sum(2), ink[:, :, self.strokes :].sum(2)], 2).clamp(max=1)

        numbers = torch.arange(ways).expand(count, ways)
        return episodes(
            generator, numbers, 0 * numbers, torch.full_like(numbers, self.shape.examples), self.shape, look
        )


def curves(generator: torch.Generator, *shape: int) -> Float[Tensor, "*shape p 2"]:
    """Draw strokes in the unit square as points `[..., p, 2]`: every other one an arc, every other one bent once.

    Ends are equally far apart in all; the bend, the turn and the place are uniform.
    """
    number = torch.rand(*shape, 5, generator=generator)  # place (2), turn, bend, kind
    centre = _ROOM + (1 - 2 * _ROOM) * number[..., None, :2]
    along = (2 * torch.pi * number[..., 2:3] + torch.tensor([0.0, torch.pi / 2])).cos()  # [..., 2]: a direction
    along, bend = _REACH * along, 2 * number[..., 3:4] - 1
    start, end, middle = -along, along, bend * along.flip(-1) * torch.tensor([1.0, -1.0])  # each [..., 2]
    t = torch.linspace(0, 1, _SEGMENTS + 1)[:, None]  # [p, 1]
    start, end, middle = (point[..., None, :] for point in (start, end, middle))  # [..., 1, 2]
    arc = (1 - t) ** 2 * start + 2 * t * (1 - t) * 2 * middle + t**2 * end  # through `middle`
    bent = torch.where(t < 0.5, start + 2 * t * (middle - start), middle + (2 * t - 1) * (end - middle))
    return centre + torch.where(number[..., 4, None, None] < 0.5, arc, bent)


def rasterise(lines: Float[Tensor, "... p 2"], size: int, width: float) -> Float[Tensor, "... s s"]:
    """Draw polylines with points (row, column), in pixels, on images of their own: ink 1 within, fading over a pixel.

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
