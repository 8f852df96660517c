"""Measures: each by hand on a tiny case, then against scikit-learn or the definition spelled out in loops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score
from torch import Tensor

from mapsto.episodes import Episode, Examples, first_tasks
from mapsto.errors import MapstoError
from mapsto.learners import Learner
from mapsto.measures import agreement, estimate, evaluate, reliability
from mapsto.measures.evaluation.calibration import expected_calibration_error
from mapsto.measures.evaluation.evaluate import Classification, Regression, _classification, _regression, summary
from mapsto.tasks import Arrays, Tasks

# agreement


def test_agreement_by_hand() -> None:
    truth, values = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [0.5, 0.0]])
    found = agreement(values, truth)
    # mean 7/4; Σ(truth − mean)² = (25 + 81 + 49 + 49)/16 = 12.75; error 1 + 1 + 0.25; cosine 24/25, row 2 has none
    assert found.r2 == pytest.approx(1 - 2.25 / 12.75)
    assert found.cosine == pytest.approx(0.96)
    assert found.variance == pytest.approx(12.75 / 4)


def spelled_out(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """R² of all entries, by scikit-learn, and the mean cosine, in loops over rows and outputs."""
    cosines = []
    for i in range(len(truth)):
        for k in range(truth.shape[2]):
            u, v = values[i, :, k], truth[i, :, k]
            if math.sqrt(sum(v * v)) > 1e-3:
                cosines.append(sum(u * v) / math.sqrt(sum(u * u)) / math.sqrt(sum(v * v)))
    return r2_score(truth.ravel(), values.ravel()), sum(cosines) / len(cosines)


def law_of_agreement(measure: Callable) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(6, 4, 3))
    truth[2, :, 1] = 1e-5
    values = truth + generator.normal(size=truth.shape) * 0.3 + 0.1
    r2, cosine = spelled_out(values, truth)
    assert 0.5 < r2 < 0.95 and 0.5 < cosine < 0.99
    found = measure(values, truth)
    assert found.r2 == pytest.approx(r2) and found.cosine == pytest.approx(cosine)


def test_agreement_is_its_definition() -> None:
    law_of_agreement(agreement)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda values, truth: agreement(truth, values),
        lambda values, truth: agreement(values.swapaxes(1, 2), truth.swapaxes(1, 2)),  # cosine over outputs
        lambda values, truth: agreement(values - values.mean(), truth - truth.mean()),
    ],
)
def test_the_law_of_agreement_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_agreement(mutant)


def test_agreement_says_nan_where_nothing_is_to_be_explained() -> None:
    found = agreement(np.full((2, 3), 0.1), np.zeros((2, 3)))
    assert math.isnan(found.r2) and math.isnan(found.cosine) and found.variance == 0


# calibration


def test_calibration_by_hand() -> None:
    # two bins: (0, ½] holds one row, confidence 0.5, right; (½, 1] three, confidences 0.6 0.8 1.0, one of them right
    p = np.array([[0.5, 0.25, 0.25], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    y = np.array([0, 1, 1, 0])
    bins = reliability(p, y, bins=2)
    assert bins.confidence.tolist() == pytest.approx([0.5, 0.8])
    assert bins.accuracy.tolist() == pytest.approx([1, 1 / 3])
    assert bins.share.tolist() == pytest.approx([0.25, 0.75])
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.25 * 0.5 + 0.75 * (0.8 - 1 / 3))


def law_of_calibration(measure: Callable) -> None:
    """The error in loops over rows and bins, with weights."""
    generator = np.random.default_rng(1)
    p = generator.dirichlet([0.6] * 4, size=300)
    y, w = generator.integers(0, 4, 300), generator.random(300) * (generator.random(300) > 0.3)
    expected = 0.0
    for b in range(10):
        rows = [i for i in range(300) if b / 10 < p[i].max() <= (b + 1) / 10]
        if mass := sum(w[i] for i in rows):
            right = sum(w[i] for i in rows if p[i].argmax() == y[i]) / mass
            sure = sum(w[i] * p[i].max() for i in rows) / mass
            expected += mass / w.sum() * abs(right - sure)
    assert expected > 0.2
    assert measure(p, y, w, bins=10) == pytest.approx(expected)


def test_calibration_error_is_its_definition() -> None:
    law_of_calibration(expected_calibration_error)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda p, y, w, bins: expected_calibration_error(p, y, None, bins),
        lambda p, y, w, bins: expected_calibration_error(p, y, w, bins + 5),
        lambda p, y, w, bins: (
            abs((lambda r: (r.share * (r.accuracy - r.confidence)).sum())(reliability(p, y, w, 1))) / 2
        ),
    ],
)
def test_the_law_of_calibration_finds_mutants(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_calibration(mutant)


def test_calibration_needs_a_row() -> None:
    with pytest.raises(MapstoError, match="total weight 0"):
        reliability(np.ones((2, 1)), np.zeros(2, int), np.zeros(2))
    with pytest.raises(MapstoError, match="p: got NaN in 1 of 2 rows"):
        reliability(np.array([[0.5, 0.5], [np.nan, np.nan]]), np.zeros(2, int))


# intervals


def test_the_interval_by_hand() -> None:
    # deviations −1, 1, −1, 1: s² = 4/3, and Student's t with three degrees of freedom is 3.1824
    assert estimate(np.array([1.0, 3.0, 1.0, 3.0])) == pytest.approx((2.0, 3.182446 * math.sqrt(1 / 3)), rel=1e-6)
    one = estimate(np.array([1.0]))
    assert math.isnan(one.interval)
    assert "nan" not in f"{one} {Classification(1, one, one, 0.0, np.ones(1))} {estimate(np.array([1.0, math.inf]))}"
    assert estimate(np.array([1.0, math.inf])).mean == math.inf
    with pytest.raises(MapstoError, match="values: got none"):
        estimate(np.array([]))


@pytest.mark.parametrize("tasks", [2, 4, 10])
def test_the_interval_of_few_values_holds_the_mean_95_times_in_100(tasks: int) -> None:
    generator = np.random.default_rng(tasks)
    found = [estimate(generator.normal(size=tasks)) for _ in range(4000)]
    covered = np.mean([abs(e.mean) <= e.interval for e in found])
    assert abs(covered - 0.95) < 0.012  # with the normal quantile, it would be 0.70 of 2 values and 0.85 of 4


def test_the_interval_holds_the_mean_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    found = [estimate(generator.exponential(size=200)) for _ in range(2000)]
    covered = np.mean([abs(e.mean - 1) <= e.interval for e in found])
    assert abs(covered - 0.945) < 0.015  # a skewed mean of 200 is covered a little less often than 95 %


# evaluation


class Told(Learner):
    """Scores written in the query rows: x `[n, k]` ↦ x, and nothing where that is 1e9."""

    def __init__(self, loss: str):
        super().__init__()
        self.loss_name = loss

    def adapt(self, support: Examples) -> Tensor:
        return support.x.sum()

    def predict(self, state: Tensor, x: Tensor) -> Tensor:
        return (x + 0 * state).masked_fill(x > 1e8, math.nan)


class Scored(Tasks):
    """Tasks whose rows are class scores, the last row of each being padding."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        x = torch.randn(count, 7, 3, generator=generator)
        y = torch.randint(0, 3, (count, 7), generator=generator)
        w = torch.tensor([1 / 6] * 6 + [0.0]).expand(count, 7)
        return Episode(Examples(x, y, w), Examples(x, y, w))


def rows_of(tasks: Tasks, counts: list[int], seed: int) -> list[Episode]:
    return [tasks.batch(i, count, seed) for i, count in enumerate(counts)]


def test_classification_is_that_of_scikit_learn() -> None:
    found = evaluate(Told("cross_entropy"), Scored().test, episodes=10, batch=4, seed=3)
    assert isinstance(found, Classification) and found.tasks == 10
    accuracies, surprises = [], []
    for batch in rows_of(Scored().test, [10], 3):
        for x, y in zip(batch.query.x[:, :6], batch.query.y[:, :6], strict=True):
            accuracies.append(accuracy_score(y, x.argmax(-1)))
            surprises.append(log_loss(y, x.double().softmax(-1), labels=[0, 1, 2]))
    assert 0.1 < np.mean(accuracies) < 0.7
    assert found.values.tolist() == pytest.approx(accuracies)
    assert found.accuracy == pytest.approx(estimate(np.array(accuracies)))
    assert found.log_loss == pytest.approx(estimate(np.array(surprises)), rel=1e-6)


def test_calibration_error_of_an_evaluation_pools_the_rows_of_all_tasks() -> None:
    found = evaluate(Told("cross_entropy"), Scored().test, episodes=6, batch=6)
    (batch,) = rows_of(Scored().test, [6], 0)
    p = batch.query.x[:, :6].double().softmax(-1).flatten(0, 1).numpy()
    expected = expected_calibration_error(p, batch.query.y[:, :6].flatten().numpy())
    assert expected > 0.05
    assert isinstance(found, Classification) and found.calibration_error == pytest.approx(expected)
    assert "accuracy" in str(found) and "(6 tasks)" in str(found)
    assert summary(found)["accuracy"].keys() == {"mean", "interval"}


class Misread(Tasks):
    """Five tasks with targets of mean square 1 and errors 0, 1, 4, 100 and nan, and a padded row each."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        y = torch.ones(5, 2, 1)
        x = y + torch.tensor([0.0, 1.0, 2.0, 10.0, 1e9])[:, None, None]
        x = x + torch.tensor([0.0, 1e6])[None, :, None]  # padding, which must not count
        w = torch.tensor([1.0, 0.0]).expand(5, 2)
        return Episode(Examples(x, y, w), Examples(x.where(w[..., None] > 0, y), y, w))


def test_regression_by_hand() -> None:
    found = evaluate(Told("mse"), Misread().test, episodes=5, batch=5)
    assert isinstance(found, Regression)
    assert found.values[:4].tolist() == [0, 1, 4, 100]
    assert found.diverged == 2  # 100 is more than ten times the mean square 1, and nan is nothing
    assert math.isnan(found.mse.mean)
    assert "2 diverged" in str(found)


class Modest(Misread):
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        batch = super().draw(generator, count)
        return Episode(*(Examples(*(t[:4] for t in part)) for part in batch[:2]))


def test_regression_reports_mean_and_median() -> None:
    found = evaluate(Told("mse"), Modest().test, episodes=4, batch=4)
    assert isinstance(found, Regression)
    assert found.mse.mean == pytest.approx(105 / 4) and found.median == pytest.approx(2.5) and found.diverged == 1


def test_evaluation_leaves_no_gradient_and_is_seeded() -> None:
    learner = Told("cross_entropy")
    first, again, other = (evaluate(learner, Scored(), episodes=8, seed=seed) for seed in (0, 0, 1))
    assert first.values.tolist() == again.values.tolist() != other.values.tolist()
    with pytest.raises(MapstoError, match="episodes: got 0"):
        evaluate(learner, Scored(), episodes=0)


def test_what_diverged_is_never_right_and_too_many_classes_are_refused() -> None:
    class Lost(Learner):
        def adapt(self, support: Examples) -> Examples:
            return support

        def predict(self, state: Examples, x: torch.Tensor) -> torch.Tensor:
            return torch.full((len(x), 2), torch.nan)

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(180, 2)), np.arange(180) % 9
    tasks = Arrays(x.astype(np.float32), y, ways=2, shots=1, queries=2)
    assert evaluate(Lost(), tasks, 4, 2).accuracy.mean == 0
    with pytest.raises(MapstoError, match="tasks: got 3 classes"):
        evaluate(Lost(), Arrays(x.astype(np.float32), y, ways=3, shots=1, queries=2), 4, 2)


@pytest.mark.parametrize(("error", "expected"), [(9.0, 0), (11.0, 1)])
def test_a_task_with_ten_times_the_error_of_predicting_nothing_has_diverged(error: float, expected: int) -> None:
    """Outcomes are ±1, so that predicting 0 has the error 1; the second task is off by √error."""
    y = torch.tensor([[[1.0], [-1.0]]]).repeat(2, 1, 1)
    scores = y + torch.tensor([0.0, error**0.5])[:, None, None]
    assert _regression(scores, y, torch.full((2, 2), 0.5)).diverged == expected
    scores = y + torch.tensor([2.0, 4.0])[:, None]  # (4 + 16) / 2, exactly ten times as much
    assert _regression(scores, y, torch.full((2, 2), 0.5)).diverged == 0
    lost = torch.cat([scores, scores + torch.nan, y])  # errors of 10, 10, NaN, NaN and 0, 0
    assert _regression(lost, y.repeat(3, 1, 1), torch.full((6, 2), 0.5)).median == 10


def test_a_padded_row_that_is_infinitely_surprising_does_not_count() -> None:
    scores = torch.tensor([[[0.0, 0.0], [-torch.inf, 0.0]]])
    found = _classification(scores, torch.zeros(1, 2, dtype=torch.long), torch.tensor([[1.0, 0.0]]))
    assert found.log_loss.mean == pytest.approx(math.log(2))


class Numbered(Tasks):
    """Task j of stack i has the input 100·i + j."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        raise NotImplementedError

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        x = (100 * index + torch.arange(count)).view(-1, 1, 1).float()
        rows = Examples(x, x, torch.ones(count, 1))
        return Episode(rows, rows)


@pytest.mark.parametrize("batch", [1, 8, 60])
def test_an_evaluation_takes_the_same_tasks_whatever_its_batch(batch: int) -> None:
    parts = list(first_tasks(Numbered(), 60, batch, 0))
    expected = [100.0 * (j // 25) + j % 25 for j in range(60)]  # published results rest on stacks of 25
    assert torch.cat([part.query.x.flatten() for part in parts]).tolist() == expected
    assert max(len(part.query.x) for part in parts) <= batch
