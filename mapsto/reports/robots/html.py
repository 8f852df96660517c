"""The parts of the page of a robot's task: pictures and their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures import robots
from ...figures.numbers import hundredths, points
from .. import page

if TYPE_CHECKING:
    from .answer import RobotAnswer, Rollouts


def sections(answer: RobotAnswer) -> dict[str, Any]:
    """Return all that the page shows of a robot's task; call it within `plain_style()`."""
    return {
        "template": "robots.html.jinja",
        "name": answer.name,
        "about": answer.about(),
        "film": None,  # of inner steps, as of other tasks
        "paths": None if answer.plane is None else _film(answer),
        "goal": answer.goal is not None,
        "returns": page.picture(robots.returns(answer.means, answer.returns), _returns(answer)),
        "imitates": answer.imitates,
        "lesson": answer.lesson,
        "rows": [(answer.moment(i), *row) for i, row in enumerate(_rows(answer))],
        "teaching": None if answer.plane is None else _teaching(answer),
        "taught": _taught(answer),
        "reasons": [(name, _saliency(answer, name)) for name in answer.reasons],
        "left_out": [f"{name} is left out: {reason}." for name, reason in answer.left_out.items()],
    }


def _rows(answer: RobotAnswer) -> Iterator[tuple[str, str, str | None]]:
    """Yield the return in this task, the mean return and the share of solved episodes, for each block."""
    for own, mean, share in zip_longest(answer.returns, answer.means, answer.solved or ()):
        reached = share and f"{100 * share.mean:.1f} ± {100 * share.interval:.1f} %"
        yield hundredths(own), f"{hundredths(mean.mean)} ± {mean.interval:.2f}", reached


def _places(answer: RobotAnswer, blocks: Sequence[Rollouts]) -> list[list[np.ndarray]]:
    return [[path[:, answer.plane] for path in block] for block in blocks]


def _film(answer: RobotAnswer) -> Any:
    moments = ["before", "after"] if answer.imitates else [answer.moment(i) for i in range(len(answer.returns))]
    titles = [f"{moment}: {hundredths(own)}" for moment, own in zip(moments, answer.returns, strict=True)]
    alt = f"Paths of the robot in the plane; the return was {_returns(answer)}"
    return page.picture(robots.film(_places(answer, answer.blocks), answer.goal, titles), alt)


def _returns(answer: RobotAnswer) -> str:
    return "; ".join(f"{hundredths(own)} {answer.moment(i)}" for i, own in enumerate(answer.returns)) + "."


def _teaching(answer: RobotAnswer) -> Any:
    titles = [f"taught update {i + 1}" for i in range(len(answer.pushes))]
    titles = ["the demonstrations"] if answer.imitates else titles
    return page.picture(
        robots.film(_places(answer, answer.lessons), answer.goal, titles, answer.pushes), _taught(answer)
    )


def _taught(answer: RobotAnswer) -> str:
    """Name the paths that did most, and say how much of the teaching was up."""
    block, path = np.unravel_index(np.abs(answer.pushes).argmax(), answer.pushes.shape)
    strongest = points(float(answer.pushes[block, path]))
    up = 100 * np.clip(answer.pushes, 0, None).sum()
    which = f"Demonstration {path}" if answer.imitates else f"Rollout {path} of update {block + 1}"
    raised = "lowered the error of the adapted policy" if answer.imitates else "raised the return of the adapted policy"
    return f"{which} did most ({strongest} % of all pushes); {up:.0f} % of all pushes {raised}."


def _saliency(answer: RobotAnswer, name: str) -> Any:
    values = answer.reasons[name]
    entry = answer.names[int(np.abs(values).sum((0, 1)).argmax())]
    alt = f"Strips by {name}: {entry} moved the action most along the first rollout of the adapted policy."
    return page.picture(robots.saliency(values, answer.names), alt)
