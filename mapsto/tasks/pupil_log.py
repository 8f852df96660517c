"""Episodes from a person's log of answers: a task is one pupil at one moment, its query the answer that followed.

The pupils are divided among train, validation and test, so results are for pupils that training never saw.
"""

from typing import Any

import torch

from .. import checks
from ..episodes import Episode, Examples
from .answer_log import read_log
from .classes import Splits, divide
from .item_difficulty import difficulties
from .sampling import Shots, bounds
from .source import Tasks


class PupilLog(Tasks):
    """Tasks x `[n, skills + 2]` ↦ y `[n]` from a log of answers, in the same form as those of `Pupils`.

    The support set holds the answers of a pupil up to a random moment, in their order, and the one query row is the
    answer that came next. The difficulties of items are estimated from the answers of the training pupils. The
    attribute `skills` lists the skills, and `notes` says how the log was read.

    Args:
        log: the log, as a DataFrame or as the path of a table; it has one row for each answer.
        shots: the number of answers so far, or a pair (low, high), where low may be 0. Of longer logs, the first
            answers are used; pupils with fewer than low + 1 answers are left out.
        pupil: the name of the column that names the pupil.
        item: the name of the column that names the item. None stands for "item", if there is such a column.
        skill: the name of the column that names the skill, likewise.
        correct: the name of the column that holds 1 for a right answer, 0 for a wrong one.
        time: the name of the column that holds the time of the answer, likewise.
        splits: the fractions of the pupils for train, validation and test, or the names of the pupils of each split.
        seed: the random seed for the division of the pupils.

    Raises:
        MapstoError: if the log cannot be read, see `read_log`, or no training pupil has enough answers.
    """

    def __init__(
        self,
        log: Any,
        shots: Shots = (0, 20),
        pupil: str = "pupil",
        item: str | None = None,
        skill: str | None = None,
        correct: str = "correct",
        time: str | None = None,
        splits: Splits = (0.6, 0.2, 0.2),
        seed: int = 0,
    ):
        self.shots = bounds("shots", shots, least=0)
        known = read_log(log, pupil=pupil, item=item, skill=skill, correct=correct, time=time)
        answers, self.notes = known.answers, known.notes
        sizes = answers.groupby("pupil").size()
        names = sorted(sizes.index[sizes > self.shots[0]])
        least = f"two or more with over {self.shots[0]} answers"
        checks.expect(len(names) > 1, "log", f"{len(names)} pupil(s)", least, "lower shots, or add pupils")
        self.pools = {split: [names[i] for i in pools[0]] for split, pools in divide(names, splits, seed).items()}
        remedy = "give training a larger fraction"
        checks.expect(len(self.pools["train"]) > 0, "splits", "no training pupil", "at least one", remedy)
        scale = difficulties(answers[answers["pupil"].isin(self.pools["train"])])
        self.skills = sorted(set(answers["skill"]))
        pairs = zip(answers["skill"], answers["item"], strict=True)
        rows = [[*(float(skill == s) for s in self.skills), scale.of(skill, item), 0.0] for skill, item in pairs]
        x, y = torch.tensor(rows), torch.tensor(answers["correct"].to_numpy())
        place = answers["pupil"].reset_index(drop=True)
        self.logs = {name: (x[of.index], y[of.index]) for name, of in place.groupby(place)}

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` moments of pupils; see `Tasks.draw`. Raises MapstoError if the split has no pupil."""
        pool = self.pools[self.split]
        checks.expect(len(pool) > 0, "splits", f"no pupil for {self.split}", "at least one", "give it more")
        chosen = torch.randint(len(pool), (count,), generator=generator).tolist()
        width = len(self.skills) + 2
        x, y = torch.zeros(count, self.shots[1], width), torch.zeros(count, self.shots[1], dtype=torch.long)
        w, items, answers = torch.zeros(count, self.shots[1]), torch.zeros(count, 1, width), y.new_zeros(count, 1)
        for task, i in enumerate(chosen):
            of_x, of_y = self.logs[pool[i]]
            most = min(self.shots[1], len(of_y) - 1)
            n = int(torch.randint(self.shots[0], most + 1, (), generator=generator))
            x[task, :n], y[task, :n], w[task, :n] = of_x[:n], of_y[:n], 1 / max(n, 1)
            x[task, :n, -1] = torch.arange(n) / 10
            items[task, 0], answers[task, 0] = of_x[n], of_y[n]
            items[task, 0, -1] = n / 10
        return Episode(Examples(x, y, w), Examples(items, answers, torch.ones(count, 1)))
