"""The parts of the page of a robot's task: pictures and their captions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...estimate import Estimate
from ...figures import robots
from .. import page
from ..words import count
from .answer import RobotAnswer


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
        "rows": [(i, f"{own:.2f}", _interval(mean)) for i, (own, mean) in enumerate(_blocks(answer))],
        "teaching": None if answer.plane is None else _teaching(answer),
        "taught": _taught(answer),
        "reasons": [(name, _saliency(answer, name)) for name in answer.reasons],
        "left_out": [f"{name} is left out: {reason}." for name, reason in answer.left_out.items()],
    }


def _blocks(answer: RobotAnswer) -> zip[tuple[float, Estimate]]:
    return zip(answer.returns, answer.means, strict=True)


def _interval(mean: Estimate) -> str:
    return f"{mean.mean:.2f} ± {mean.interval:.2f}"


def _places(answer: RobotAnswer) -> list[list[np.ndarray]]:
    return [[path[:, answer.plane] for path in block] for block in answer.blocks]


def _titles(answer: RobotAnswer) -> list[str]:
    return [f"after {count(i, 'update')}: {own:.2f}" for i, own in enumerate(answer.returns)]


def _film(answer: RobotAnswer) -> Any:
    alt = f"Paths of the robot in the plane; the return was {_returns(answer)}"
    return page.picture(robots.film(_places(answer), answer.goal, _titles(answer)), alt)


def _returns(answer: RobotAnswer) -> str:
    return "; ".join(f"{own:.2f} after {count(i, 'update')}" for i, own in enumerate(answer.returns)) + "."


def _teaching(answer: RobotAnswer) -> Any:
    places, titles = _places(answer)[:-1], [f"taught update {i + 1}" for i in range(len(answer.pushes))]
    return page.picture(robots.film(places, answer.goal, titles, answer.pushes), _taught(answer))


def _taught(answer: RobotAnswer) -> str:
    """Name the rollouts that did most, and say how much of the teaching was up."""
    block, rollout = np.unravel_index(np.abs(answer.pushes).argmax(), answer.pushes.shape)
    strongest = 100 * answer.pushes[block, rollout]
    up = 100 * np.clip(answer.pushes, 0, None).sum()
    return (
        f"Rollout {rollout} of update {block + 1} did most ({strongest:+.0f} % of all pushes); {up:.0f} % of all "
        "pushes raised the return of the adapted policy."
    )


def _saliency(answer: RobotAnswer, name: str) -> Any:
    values = answer.reasons[name]
    entry = answer.names[int(np.abs(values).sum((0, 1)).argmax())]
    alt = f"Strips by {name}: {entry} moved the action most along the first rollout of the adapted policy."
    return page.picture(robots.saliency(values, answer.names), alt)
