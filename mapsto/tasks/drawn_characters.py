"""Drawn characters: each task has its own random alphabet, and each image is a different drawing of a character.

    ink(p) = 1 − exp(−g·Σ_i l_i·exp(−|p − q_i|²/2σ²)/(σ√(2π)))

The points q_i, each for a length l_i, follow the strokes; σ is the softness of the pen and g its pressure. A character
is made of a few strokes, each with a few control points. Most strokes start at an earlier stroke. In each image, the
control points are shifted a little, and the character is rotated, stretched, sheared and shifted. Characters are made
of strokes as in Lake, Salakhutdinov & Tenenbaum 2015, but without its grammar: nothing is taken from real alphabets.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .classes import episodes, shape
from .sampling import Shots
from .source import Tasks

_POINTS = 40  # of the pen for each stroke
_CONTROLS = 5  # of each stroke
_START = 0.75  # probability that a stroke starts at an earlier one
_ANGULAR = 0.4  # probability that a stroke is a polyline
_STRAIGHT = 0.4  # probability that the directions of a stroke are multiples of 45°
_GRID = 4  # squares of an image in each direction, of which some are hidden
_DUST = 0.03  # ink below it is not seen


class DrawnCharacters(Tasks):
    """N-way K-shot tasks of random characters x `[n, 1, size, size]`, with ink up to 1 on background 0.

    A class is a random character that exists in one task only. The pen and the strength of the distortion are redrawn
    for each task; the pen and the shape of a character also vary from image to image.

    Args:
        ways: the number of classes in a task.
        shots: the number of support examples of each class, or a pair (low, high) as in `Arrays`.
        queries: the number of query examples of each class.
        strokes: the lowest and the highest number of strokes of a character.
        size: the height and width of an image, in pixels.
        distortion: the multiplier on all differences between two images of a character. If 0, only the pen differs.
        hidden: the fraction of query images with hidden parts. In each of them, some of the 4 × 4 equal squares of the
            image are blank; the expected number of blank squares is uniform.

    Raises:
        MapstoError: if a number is too small, or the lowest number of strokes is above the highest.

    >>> DrawnCharacters(ways=3, shots=1, queries=2).batch(0, count=2).query.x.shape
    torch.Size([2, 6, 1, 32, 32])
    """

    def __init__(
        self,
        ways: int = 5,
        shots: Shots = 1,
        queries: int = 15,
        strokes: tuple[int, int] = (1, 4),
        size: int = 32,
        distortion: float = 1.0,
        hidden: float = 0.0,
    ):
        self.shape = shape(ways, shots, queries)
        low, high = strokes
        checks.count(strokes=low)
        checks.expect(low <= high, "strokes", strokes, "a pair (lowest, highest)")
        checks.count(8, size=size)
        checks.at_least(0, distortion=distortion)
        checks.between(0, 1, hidden=hidden)
        self.strokes, self.size, self.distortion, self.hidden = (low, high), size, distortion, hidden

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks; see `Tasks.draw`."""
        ways, (low, high) = self.shape.ways, self.strokes
        characters = alphabet(generator, count, ways, high)  # [T, ways, l, c, 2]
        angular = torch.rand(count, ways, high, generator=generator) < _ANGULAR
        number = torch.randint(low, high + 1, (count, ways, 1), generator=generator)
        drawn = torch.arange(high) < number  # [T, ways, l]
        characters = fitted(characters, drawn, 0.45 + 0.5 * torch.rand(count, ways, 1, 2, generator=generator))
        pens = torch.rand(count, 1, 2, generator=generator)  # of each task
        task = torch.arange(count)[:, None]

        def look(classes: Int[Tensor, "T n"], rows: Int[Tensor, "T n"]) -> Float[Tensor, "T n 1 s s"]:
            points = self._by_hand(generator, characters[task, classes])  # [T, n, l, c, 2]
            own = torch.rand(*classes.shape, 2, generator=generator)
            soft, hard = (0.85 * pens + 0.15 * own).unbind(-1)
            path = curves(points, angular[task, classes])  # [T, n, l, q, 2]
            softness = (0.5 * 4.0**soft) / 32  # up to 2 of 32 pixels
            return ink(path, drawn[task, classes], softness, 1.5 * 6.0**hard, self.size)[:, :, None]

        numbers = torch.arange(ways).expand(count, ways)
        examples = torch.full_like(numbers, self.shape.examples)
        drawing = episodes(generator, numbers, 0 * numbers, examples, self.shape, look)
        if not self.hidden:
            return drawing
        return drawing._replace(query=self._partly(generator, drawing.query))

    def _partly(self, generator: torch.Generator, query: Examples) -> Examples:
        """Blank random squares of a fraction `hidden` of the images; the number of squares is uniform."""
        partly = torch.rand(*query.y.shape, 1, 1, generator=generator) < self.hidden
        share = torch.rand(partly.shape, generator=generator)
        seen = torch.rand(*query.y.shape, _GRID, _GRID, generator=generator) < share
        square = torch.arange(self.size) * _GRID // self.size
        return query._replace(x=query.x * (seen | ~partly)[:, :, None, square][..., square])

    def _by_hand(self, generator: torch.Generator, points: Float[Tensor, "T n l c 2"]) -> Float[Tensor, "T n l c 2"]:
        """Distort each image's copy of its character, whose coordinates are from −½ to ½."""
        tasks, n = points.shape[:2]
        by_task, by_image = self.distortion * torch.rand(tasks, 1, 1, generator=generator), (tasks, n)
        strength = 0.4 * self.distortion + 1.2 * by_task  # of the whole task
        normal = torch.randn(*by_image, 6, generator=generator) * strength
        stroke = torch.randn(*points.shape[:3], 1, 2, generator=generator) * strength[..., None, None]
        tremble = torch.randn(points.shape, generator=generator) * strength[..., None, None]
        turn, shear, tall, wide = (normal[..., i] * s for i, s in enumerate((0.13, 0.12, 0.1, 0.1)))
        cos, sin = turn.cos(), turn.sin()
        tall, wide = tall.exp(), wide.exp()
        matrix = torch.stack(
            [torch.stack([cos * tall, -sin * wide], -1), torch.stack([sin * tall + shear, cos * wide], -1)], -1
        )  # [T, n, 2, 2]
        moved = points + 0.02 * stroke + 0.025 * tremble
        return torch.einsum("tnlcd,tnde->tnlce", moved, matrix) + 0.04 * normal[..., None, None, 4:]


def alphabet(generator: torch.Generator, count: int, ways: int, strokes: int) -> Float[Tensor, "T ways l c 2"]:
    """Draw characters as control points: strokes that turn at random, most of which start at an earlier stroke."""
    size = (count, ways, strokes)
    start = torch.rand(*size, 2, generator=generator) - 0.5
    bend = torch.rand(*size, 1, generator=generator) * 2.0  # how much a stroke turns, in radians
    turns = bend * torch.randn(*size, _CONTROLS - 1, generator=generator)
    turns[..., 0] = 2 * math.pi * torch.rand(size, generator=generator)
    angle = turns.cumsum(-1)
    straight = torch.rand(*size, 1, generator=generator) < _STRAIGHT
    angle = torch.where(straight, (angle * 4 / math.pi).round() * math.pi / 4, angle)
    length = (0.08 + 0.25 * torch.rand(*size, 1, generator=generator)) * (
        0.6 + 0.8 * torch.rand(*size, _CONTROLS - 1, generator=generator)
    )
    steps = torch.stack([angle.cos(), angle.sin()], -1) * length[..., None]  # [T, ways, l, c − 1, 2]
    path = torch.cat([torch.zeros(*size, 1, 2), steps.cumsum(-2)], -2)
    joins = torch.rand(size, generator=generator) < _START
    at = torch.rand(*size, 2, generator=generator)
    done: list[Tensor] = []
    for i in range(strokes):
        origin = start[:, :, i]
        if done:
            earlier = torch.cat(done, 2)  # [T, ways, c·i, 2]
            chosen = (at[:, :, i, :1, None] * earlier.shape[2]).long().expand(-1, -1, -1, 2)
            point = earlier.gather(2, chosen)[:, :, 0]
            origin = torch.where(joins[:, :, i, None], point, origin)
        anchor = (at[:, :, i, 1:, None] * 2).long() * (_CONTROLS // 2)  # the start or the middle of the stroke
        shift = path[:, :, i].gather(2, anchor.expand(-1, -1, -1, 2))
        done.append(origin[:, :, None] + path[:, :, i] - shift)
    return torch.stack(done, 2)


def fitted(
    points: Float[Tensor, "T w l c 2"], drawn: Tensor, extent: Float[Tensor, "T w 1 2"]
) -> Float[Tensor, "T w l c 2"]:
    """Centre each character, and scale it so that its height and width are at most `extent`, of a frame of 1."""
    used = drawn[..., None, None]
    low = torch.where(used, points, torch.inf).amin((2, 3))
    high = torch.where(used, points, -torch.inf).amax((2, 3))  # [T, w, 2]
    scale = (extent[:, :, 0] / (high - low).clamp(min=1e-3)).clamp(max=3.0)
    scale = scale.minimum(2.0 * scale.amin(-1, keepdim=True))  # a line stays a line
    return (points - (low + high)[:, :, None, None] / 2) * scale[:, :, None, None]


def curves(points: Float[Tensor, "... c 2"], angular: Tensor) -> Float[Tensor, "... q 2"]:
    """Return points along each stroke: a Catmull–Rom curve through its control points, or a polyline if `angular`."""
    return torch.where(angular[..., None, None], _LINE @ points, _CURVE @ points)


def ink(
    path: Float[Tensor, "T n l q 2"], drawn: Tensor, softness: Tensor, pressure: Tensor, size: int
) -> Float[Tensor, "T n s s"]:
    """Return the image of each character, of which the strokes that are not `drawn` leave no ink.

    Args:
        path: points along the strokes, (row, column) from −½ to ½.
        drawn: `[T, n, l]`, True for each stroke that is drawn.
        softness: `[T, n]`, the standard deviation of the pen's ink as a fraction of the image.
        pressure: `[T, n]`, the pen's ink on the middle of a straight line, before it saturates at 1.
        size: the height and width of the image, in pixels.
    """
    step = (path[..., 1:, :] - path[..., :-1, :]).norm(dim=-1)
    length = torch.cat([step[..., :1], step[..., 1:] + step[..., :-1], step[..., -1:]], -1) / 2  # [T, n, l, q]
    place = (torch.arange(size) + 0.5) / size - 0.5
    away = (path[..., None, :] - place[:, None]) / softness[..., None, None, None, None]  # [T, n, l, q, s, 2]
    trace = (-away.square() / 2).exp()
    amount = length * drawn[..., None] * (pressure / softness)[..., None, None] / math.sqrt(2 * math.pi)
    rows, columns = trace[..., 0] * amount[..., None], trace[..., 1]
    density = torch.einsum("tnlqy,tnlqx->tnyx", rows, columns)
    return (1 - _DUST - (-density).exp()).clamp(min=0) / (1 - _DUST)


def _matrices() -> tuple[Tensor, Tensor]:
    """Return the matrices `[q, c]` from control points to points on the polyline, and on the Catmull–Rom curve."""
    t = torch.linspace(0, _CONTROLS - 1, _POINTS)
    piece = t.long().clamp(max=_CONTROLS - 2)
    u = t - piece
    near = torch.eye(_CONTROLS)
    padded = torch.cat([2 * near[:1] - near[1:2], near, 2 * near[-1:] - near[-2:-1]])  # mirrored ends
    before, a, b, after = (padded[piece + i] for i in range(4))
    u = u[:, None]
    curve = (
        2 * a + (b - before) * u + (2 * before - 5 * a + 4 * b - after) * u**2 + (3 * a - before - 3 * b + after) * u**3
    ) / 2
    return a + u * (b - a), curve


_LINE, _CURVE = _matrices()
