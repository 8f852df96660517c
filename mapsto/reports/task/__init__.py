"""A test task's answers, explained, judged and shown on one page."""

import os

from ... import checks
from ...figures.svg import plain_style
from ...learners import Learner
from ...tasks import Tasks
from ..answer import Answer
from ..page import refuse_unwritable, write
from .answer import TaskAnswer
from .build import task_answer
from .html import task_page
from .methods import Methods

__all__ = ["TaskAnswer", "task"]


def task(
    learner: Learner,
    tasks: Tasks,
    index: int = 0,
    methods: Methods = (),
    path: str | os.PathLike[str] = "report.html",
    *,
    title: str = "",
    seed: int = 0,
) -> Answer:
    """Adapt a learner to one test task, write one HTML page about it, and return predictions and explanations.

    The page shows the predictions for the first four query rows beside the truth, and the explanations of these
    predictions by several methods. It also shows the support examples that matter most for the first prediction, every
    step of the adaptation, and measures of how trustworthy each method is. If a part does not apply to the learner or
    the task, the page gives the reason. Of a robot's policy on `mt.tasks.Rollouts` or `mt.tasks.Demonstrations`, the
    page shows the paths and the returns before and after each update, the paths that taught it, and the observations
    that moved its actions. `mapsto report RUN` does the same for a trained run.

    Args:
        learner: any learner, including your own subclass of `mt.learners.Learner`.
        tasks: any source of tasks, including your own subclass of `mt.tasks.Tasks`.
        index: the number of the test task, counted from 0.
        methods: the names of explainers, such as `["Shapley", "LIME"]`. If empty, methods that suit the learner are
            chosen.
        path: the file to write.
        title: the title of the page. If empty, the title is made of the names of the learner and the tasks.
        seed: the random seed of the test tasks.

    Raises:
        MapstoError: if `learner` is not a learner or is transductive, `tasks` is not a source of tasks, a method is not
            an explainer of rows, the task has no examples, or the page cannot be written.

    >>> import tempfile, mapsto as mt
    >>> learner = mt.learners.MAML(mt.models.MLP(1, 8, 1), loss="mse", steps=2)
    >>> answer = task(learner, mt.tasks.Sinusoids(), methods=["Gradient"], path=tempfile.mkdtemp() + "/report.html")
    >>> answer.name, answer.outputs.shape
    ('test task 0', (4, 1))
    """
    kinds = type(learner).__name__, type(tasks).__name__
    checks.expect(isinstance(learner, Learner), "learner", f"a {kinds[0]}", "a Learner")
    checks.expect(isinstance(tasks, Tasks), "tasks", f"a {kinds[1]}", "a source of tasks, a subclass of Tasks")
    refuse_unwritable(path)
    answer = task_answer(learner, tasks, index, methods, seed)
    with plain_style():
        text = task_page(title or f"{kinds[0]} on a task of {kinds[1]}", answer, [], None)
    write(path, text)
    return answer
