"""Follow pupils through a log of answers: predict the next answer, explain it, and recommend the item to ask next."""

from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import checks
from ..episodes import Examples
from ..explanation import Explanation
from ..tasks.answer_log import AnswerLog, read_log, texts_of
from ..tasks.item_difficulty import Difficulties, difficulties
from ..threads import one_thread
from .pupil_parts import contributions, gains, probabilities, stacked

WINDOW = 30  # answers of a pupil that are read: training had no longer logs


class PupilTracer(BaseEstimator):
    """Predict whether pupils answer an item rightly, given their earlier answers, and explain the predictions.

    The shipped network was trained on generated pupils (`tasks.Pupils`). It reads any number of skills and items, and
    needs no training on the log: `fit` only estimates how difficult each item is, from all answers to it. The last 30
    answers of a pupil are read, in their order; the time between them is not.

    A hidden answer is one that was never asked: its step passes without an item. So anyone can compute exact Shapley
    values of the same model.

    `fit` sets `log_` (the answers and questions), `difficulties_`, `skills_` and `notes_` (how the log was read).

    Args:
        looks: the number of versions of a pupil about which an explanation asks if there are more than 10 answers.

    >>> log = pd.DataFrame({"pupil": ["ann"] * 4, "skill": ["sums"] * 3 + ["cuts"], "correct": [0, 1, 1, 0]})
    >>> tracer = PupilTracer().fit(log)
    >>> p = tracer.predict_proba({"pupil": ["ann", "ann"], "skill": ["sums", "cuts"]})
    >>> bool(p[0, 1] > p[1, 1]), tracer.explain({"pupil": ["ann"], "skill": ["sums"]}).values.shape
    (True, (1, 4))
    """

    log_: AnswerLog
    difficulties_: Difficulties
    skills_: list[str]
    notes_: list[str]

    def __init__(self, looks: int = 512):
        self.looks = looks

    def fit(
        self,
        log: Any,
        pupil: str = "pupil",
        item: str | None = None,
        skill: str | None = None,
        correct: str = "correct",
        time: str | None = None,
    ) -> Self:
        """Read a log of answers: a DataFrame, the path of a table, or what `read_log` returned.

        The log has one row for each answer. The other arguments are the names of its columns, see `tasks.PupilLog`. A
        row without an answer is a question, see `log_.questions`.

        Raises:
            MapstoError: if the log cannot be read: a column or a pupil is missing, an answer is neither 0 nor 1, a time
                cannot be read, or there is no answer.
        """
        checks.count(16, looks=self.looks)
        if not isinstance(log, AnswerLog):
            log = read_log(log, pupil=pupil, item=item, skill=skill, correct=correct, time=time)
        self.log_, self.difficulties_ = log, difficulties(log.answers)
        self.skills_ = sorted(set(log.answers["skill"]))
        one = log.answers["pupil"].nunique() == 1
        alone = "Only one pupil has answers, so an item is as difficult as the answers of this pupil suggest."
        self.notes_ = [*log.notes, *[alone] * one]
        self.of_pupil_ = dict(list(log.answers.groupby("pupil", sort=False)))
        self.skill_of_ = dict(zip(log.answers["item"], log.answers["skill"], strict=True))
        return self

    def answers(self, pupil: str) -> pd.DataFrame:
        """Return the answers of a pupil that are read, at most 30, in their order; none for a new pupil."""
        return self._every(pupil).tail(WINDOW)

    def predict_proba(self, questions: Any) -> Float[np.ndarray, "n 2"]:
        """Return the probabilities of a wrong and of a right answer to each question, asked next.

        Args:
            questions: a DataFrame, or a dict of lists, with the column `pupil` and the columns `item` or `skill` or
                both. An item that nobody has answered is as difficult as its skill. A pupil who is not in the log is a
                new one.

        Raises:
            MapstoError: if a column is missing, or there is no question.
        """
        x = self.rows(questions)
        before = [self.support(pupil) for pupil in self._questions(questions)["pupil"]]
        with torch.no_grad(), one_thread():
            right = probabilities(stacked(before), x[:, None])[:, 0].numpy()
        return np.stack([1 - right, right], 1)

    def support(self, pupil: str) -> Examples:
        """Return the answers of a pupil as the support set that the network reads."""
        return self._examples(self.answers(pupil))

    def rows(self, questions: Any) -> Float[Tensor, "n d"]:
        """Return questions as the rows that the network reads: the skill (one-hot), the difficulty and the place."""
        asked = self._questions(questions)
        return self._rows(asked, [len(self.answers(pupil)) for pupil in asked["pupil"]])

    def explain(self, questions: Any) -> Explanation:
        """Return the contribution of each earlier answer of the pupil to the probability of a right answer.

        `base_values + values.sum(1)` is `predict_proba(questions)[:, 1]`, and `base_values` is the prediction if the
        pupil had been asked nothing. `data` holds the positions of the answers in `answers(pupil)`; pupils with fewer
        answers are padded by values of 0 and None. The values are Shapley values: exact for at most 10 answers, and
        else estimated from about `looks` versions of the pupil, with standard errors in `errors`.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it.
        """
        x, pupils = self.rows(questions), self._questions(questions)["pupil"]
        with torch.no_grad(), one_thread():
            parts = [contributions(self.support(pupil), x, self.looks) for pupil, x in zip(pupils, x, strict=True)]
        most = max(len(part.values) for part in parts)
        values, errors = (
            np.stack([np.pad(of.numpy(), (0, most - len(of))) for of in column])
            for column in ([p.values for p in parts], [p.errors for p in parts])
        )
        data = np.array([[*range(len(p.values)), *[None] * (most - len(p.values))] for p in parts], object)
        names = [f"answer {j + 1}" for j in range(most)]
        base, kinds = np.array([p.base for p in parts]), ["answer"] * most
        return Explanation(values, base, data.reshape(values.shape), names, (), errors=errors, kinds=kinds)

    def recommend(self, pupil: str, count: int = 3) -> pd.DataFrame:
        """Return the items whose answers are expected to tell most about the pupil, the best first.

        The columns are item, skill, `probability` (of a right answer), `gain` (the expected information about a typical
        item of each skill, summed over skills, in bits; `pupil_parts` has the formula), and `about` (the skill about
        which the answer tells most). Items that the pupil has answered are left out, unless there are no others.

        Raises:
            MapstoError: if `count` is below 1.
        """
        checks.count(count=count)
        seen, support = self._every(pupil), self.support(pupil)
        items = self.log_.answers[["item", "skill"]].drop_duplicates()
        done = pd.MultiIndex.from_frame(items).isin(pd.MultiIndex.from_frame(seen[["item", "skill"]]))
        items = (items if done.all() else items[~done]).sort_values(["skill", "item"])
        typical = pd.DataFrame({"skill": self.skills_, "item": None})
        with torch.no_grad(), one_thread():
            place = len(support.w)
            right, gain = gains(support, self._rows(items, place), self._rows(typical, place + 1))
        about = [self.skills_[s] for s in gain.argmax(1).tolist()]
        table = items.assign(probability=right.numpy(), gain=gain.sum(1).numpy(), about=about)
        return table.sort_values("gain", ascending=False, kind="stable").head(count).reset_index(drop=True)

    def follow(self, pupil: str) -> Float[np.ndarray, " n"]:
        """Return the probability of a right answer to each item that a pupil was asked, given the answers before it."""
        every = self._every(pupil)
        before = [self._examples(every.iloc[max(0, i - WINDOW) : i]) for i in range(len(every))]
        if not before:
            return np.zeros(0)
        with torch.no_grad(), one_thread():
            x = self._rows(every, [len(support.w) for support in before])
            return probabilities(stacked(before), x[:, None])[:, 0].numpy()

    def _every(self, pupil: str) -> pd.DataFrame:
        check_is_fitted(self)
        return self.of_pupil_.get(pupil, self.log_.answers.iloc[:0])

    def _questions(self, questions: Any) -> pd.DataFrame:
        """Return questions with the columns pupil, skill and item; an item says which skill it is about."""
        check_is_fitted(self)
        table = pd.DataFrame(questions)
        there = f"the column(s) {', '.join(map(repr, table.columns))}"
        complete = "pupil" in table and ("item" in table or "skill" in table)
        checks.expect(complete, "questions", there, "the columns pupil and item or skill")
        checks.expect(len(table) > 0, "questions", "none", "at least one question")
        item, skill = (texts_of(table[n]) if n in table else [None] * len(table) for n in ("item", "skill"))
        skill = [self.skill_of_.get(i) if s is None else s for s, i in zip(skill, item, strict=True)]
        columns = {"pupil": texts_of(table["pupil"]), "skill": skill, "item": item}
        return pd.DataFrame({name: pd.Series(of, dtype=object) for name, of in columns.items()})

    def _rows(self, items: pd.DataFrame, places: Any) -> Float[Tensor, "n d"]:
        """Return items as rows of skills (one-hot), a difficulty and a place, which is divided by 10."""
        x = torch.zeros(len(items), len(self.skills_) + 2)
        for i, (skill, item) in enumerate(zip(items["skill"], items["item"], strict=True)):
            if skill in self.skills_:
                x[i, self.skills_.index(skill)] = 1
            x[i, -2] = self.difficulties_.of(skill, item)
        x[:, -1] = torch.as_tensor(places) / 10
        return x

    def _examples(self, answers: pd.DataFrame) -> Examples:
        n = len(answers)
        y = torch.tensor(answers["correct"].to_numpy(int))
        return Examples(self._rows(answers, torch.arange(n)), y, torch.full((n,), 1 / max(n, 1)))
