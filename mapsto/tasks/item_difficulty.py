"""The difficulty of the items of a log, on the scale of `knowledge_tracing`, from how often they were answered rightly.

    share(item) = (right + PRIOR·share(skill)) / (answers + PRIOR),     P(right | difficulty) = share

share(skill) is shrunk towards the share of all answers in the same way. P(right | difficulty) is that of a typical
pupil: halfway between the first answer and mastery, with typical guess and slip. It falls with difficulty, so it is
inverted by a table.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from .knowledge_tracing import Parameters, correct

PRIOR = 10.0  # answers that the prior counts for; chosen on generated logs of 30 and 150 pupils
_KNOWS, _GUESS, _SLIP = 0.55, 0.2, 0.1  # of a typical pupil
_HARDEST = 3.0


class Difficulties(NamedTuple):
    """The difficulties of items and skills."""

    of_item: dict[tuple[str, str], float]  # (skill, item)
    of_skill: dict[str, float]
    typical: float

    def of(self, skill: str | None, item: str | None) -> float:
        """Return the difficulty of an item; of its skill or of a typical item, if nobody has answered it."""
        return self.of_item.get((skill, item), self.of_skill.get(skill, self.typical))  # type: ignore[arg-type]


def difficulties(answers: pd.DataFrame) -> Difficulties:
    """Return the difficulties of the items of a log, given its columns skill, item and correct."""
    overall = (answers["correct"].sum() + PRIOR / 2) / (len(answers) + PRIOR)
    by_skill = answers.groupby("skill", sort=True)["correct"].agg(["sum", "size"])
    of_skill = _shrunk(by_skill, overall)
    by_item = answers.groupby(["skill", "item"], sort=True)["correct"].agg(["sum", "size"])
    of_item = _shrunk(by_item, of_skill.reindex(by_item.index.get_level_values("skill")).to_numpy())
    shares = (of_item.to_numpy(), of_skill.to_numpy(), np.array([overall]))
    items, skills, typical = (inverse(share).tolist() for share in shares)
    names = [(str(skill), str(item)) for skill, item in by_item.index]
    return Difficulties(dict(zip(names, items, strict=True)), dict(zip(by_skill.index, skills, strict=True)), *typical)


def share_of(difficulty: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the share of right answers that a typical pupil gives to items of these difficulties."""
    knows, guess, slip = (torch.tensor(value, dtype=torch.float64) for value in (_KNOWS, _GUESS, _SLIP))
    none = torch.zeros((), dtype=torch.float64)
    return correct(knows, torch.from_numpy(difficulty), Parameters(none, none, none, guess, slip)).numpy()


def inverse(share: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the difficulty at which a typical pupil gives this share of right answers, from −3 to 3."""
    scale = np.linspace(-_HARDEST, _HARDEST, 601)
    return np.interp(share, share_of(scale)[::-1], scale[::-1])


def _shrunk(counts: pd.DataFrame, prior: Float[np.ndarray, " n"] | float) -> pd.Series:
    return (counts["sum"] + PRIOR * prior) / (counts["size"] + PRIOR)
