"""Three checks of a model: whether it predicts correctly, whether it is robust, and whether its inside is sound.

correct   better than guessing, and with probabilities that come true        (Guo et al. 2017)
robust    most of its lead over guessing is kept under noise, a shift and an attack, see `robust`
inside    hardly any unit is useless, and no layer loses what an earlier one held, see `inside`
"""

from typing import NamedTuple

import torch

from ... import checks
from ...adaptation.fitting import trainable
from ...adaptation.learner import Learner, evaluating
from ...episodes import unstack
from ...tasks.source import Tasks
from ..evaluation.evaluate import batches, evaluate
from .correct import Correct, correct
from .inside import Inside, inside
from .robust import Robust, robust

_VERDICTS = {True: "sound", False: "not sound", None: "not tested"}


class Check(NamedTuple):
    """The results of three checks of a model; `print` them for a verdict in words."""

    correct: Correct
    robust: Robust
    inside: Inside

    @property
    def passed(self) -> bool:
        """True if no check found a fault."""
        return all(part.passed is not False for part in self)

    def __str__(self) -> str:
        parts = self._asdict().items()
        return "\n".join(f"{name}: {_VERDICTS[part.passed]}; {part.reason}" for name, part in parts)


def check(learner: Learner, tasks: Tasks, episodes: int = 50, seed: int = 0) -> Check:
    """Check whether a model predicts correctly, whether it is robust, and whether its inside is sound.

    All checks use the test tasks of the source. Each has a field `passed` and a `reason` in words; `print` shows all
    three. The model does not change.

    *Correct*: the mean accuracy (or squared error) over the tasks is better than that of a guess, and the 95 % interval
    of the difference does not contain 0. The guess is the commonest class or the mean target, of the task's support set
    or of all query rows, whichever is better. The expected calibration error is at most 0.1; with fewer than some 200
    query rows, it can be larger by chance. If there is one task, the interval is that over its rows.

    *Robust*: if query inputs move, the model keeps enough of its lead over the guess: at least half after noise of 0.1
    standard deviations and after an attack (`FGSM`) of the same size, and at least a quarter after noise of 0.3 and
    after a shift of all rows of a task by 0.3 up or down in each input. The standard deviation is that of each input
    over the query rows. If inputs are whole numbers, such as tokens, nothing is moved, `passed` and the other results
    are None, and the check does not count. The attack follows the gradient once; stronger attacks, such as `PGD`, may
    break a model that passes.

    *Inside*: at most a quarter of the inner units is dead, saturated or idle, and no inner layer loses more than 0.1 of
    the accuracy (or of the fraction of variance explained) with which the outcome can be predicted linearly from an
    earlier layer or from the input. The inner layers are outputs in `learner.features` that go to a layer with a weight
    matrix or to the score. A unit is one entry of a layer's output or, for images, one channel. All values are finite.

    - *dead*: the unit has the same value for all query rows of all tasks.
    - *saturated*: not dead, but for more than 99 % of the rows at a flat end of its activation function: exactly at the
      end if there is one (0 for a ReLU), within 1 % of their distance if there are two (±1 for a tanh).
    - *idle*: neither dead nor saturated, and different for the rows of a task; but if it is replaced by its mean over
      these rows, no probability (or predicted number, in standard deviations of the targets) changes by more than
      0.001. It is measured only for layers that are modules and run once. This and the linear predictions use the first
      1,000 query rows or so.

    Args:
        learner: the learner, trained on classes or numbers.
        tasks: the source of tasks; the checks use `tasks.test`.
        episodes: the number of test tasks.
        seed: the random seed of the tasks, the noise and the shifts.

    Raises:
        MapstoError: if `learner` is not a learner or has a loss of the user's, `tasks` is not a source of tasks with a
            test split, the tasks do not fit the learner, or `episodes` is below 1.

    >>> from mapsto.learners import Fixed
    >>> from mapsto.tasks import Minibatches
    >>> x = torch.linspace(-1, 1, 400)[:, None]
    >>> net = torch.nn.Linear(1, 1)
    >>> net.weight.data, net.bias.data = torch.tensor([[2.0]]), torch.tensor([0.0])
    >>> data = Minibatches(x, 2 * x, regression=True)
    >>> check(Fixed(net, "mse"), data).passed
    True
    """
    trainable(learner, tasks)
    got = f"a {type(tasks).__name__}"
    checks.expect(isinstance(tasks, Tasks), "tasks", got, "a source with test tasks, such as those of mapsto.tasks")
    custom = learner.criterion.outcome is None
    checks.expect(not custom, "learner", "a loss of your own", "the loss 'cross_entropy' or 'mse'")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        evaluation = evaluate(learner, tasks.test, episodes, seed=seed)
        sample = [task for batch in batches(learner, tasks.test, episodes, 25, seed) for task in unstack(batch)]
        with evaluating(learner):
            right = correct(learner, sample, evaluation)
            return Check(right, robust(learner, sample, right, seed), inside(learner, sample))
