"""Generated classification tables, each with one known rule: one function per skill.

A skill draws the parameters of its rule, then rows. `draw` adds irrelevant columns that look like the relevant ones and
shuffles the columns. A label is replaced by a random class with probability 1 %, except when a class is rare.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

Columns = Callable[[Generator, int, int], np.ndarray]  # generator, rows, columns ↦ [rows, columns]


class Table(NamedTuple):
    """Relevant columns X [rows, d], labels y [rows] and the oracle's score [rows], for several classes [rows, k]."""

    X: np.ndarray
    y: np.ndarray
    score: np.ndarray


def normal(g: Generator, rows: int, columns: int) -> np.ndarray:
    return g.normal(size=(rows, columns))


def binary(g: Generator, rows: int, columns: int) -> np.ndarray:
    return g.integers(0, 2, (rows, columns)).astype(float)


def counts(g: Generator, rows: int, columns: int) -> np.ndarray:
    return g.poisson(1.5, (rows, columns)).astype(float)


def codes(g: Generator, rows: int, columns: int) -> np.ndarray:
    return g.integers(0, 12, (rows, columns)).astype(float)


def student(g: Generator, rows: int, columns: int) -> np.ndarray:
    return g.standard_t(2, (rows, columns))


def exponential(g: Generator, rows: int, columns: int) -> np.ndarray:
    return np.exp(g.normal(size=(rows, columns)))


class Skill(NamedTuple):
    """How to draw a table of some rows, the number of its classes, and what its irrelevant columns look like."""

    table: Callable[[Generator, int], Table]
    classes: int = 2
    irrelevant: Columns = normal


def above(g: Generator, X: np.ndarray, score: np.ndarray) -> Table:
    """Class 1 lies above a quantile of the score, which is drawn between 0.4 and 0.6."""
    return noisy(g, X, (score > np.quantile(score, g.uniform(0.4, 0.6))).astype(int), score)


def noisy(g: Generator, X: np.ndarray, y: np.ndarray, score: np.ndarray, noise: float = 0.01) -> Table:
    """Replace a share of the labels by random classes."""
    return Table(X, np.where(g.random(len(y)) < noise, g.integers(0, y.max() + 1, len(y)), y), score)


def weights(g: Generator, columns: int) -> np.ndarray:
    """Draw weights of random signs, none near zero."""
    w = g.uniform(0.5, 1.5, columns) * g.choice([-1, 1], columns)
    return w / np.linalg.norm(w)


def linear(g: Generator, rows: int) -> Table:
    X, w = normal(g, rows, 3), weights(g, 3)
    score = X @ w - g.uniform(-0.5, 0.5)
    return Table(X, (score + 0.05 * g.logistic(size=rows) > 0).astype(int), score)


def ratio(g: Generator, rows: int) -> Table:
    X = np.exp(0.7 * g.normal(size=(rows, 1)) + 0.3 * normal(g, rows, 2))
    return above(g, X, X[:, 0] / X[:, 1])


def difference(g: Generator, rows: int) -> Table:
    X = 0.95**0.5 * g.normal(size=(rows, 1)) + 0.05**0.5 * normal(g, rows, 2)  # correlation 0.95
    score = X[:, 0] - X[:, 1]
    return noisy(g, X, (score > 0).astype(int), score)


def moons(g: Generator, rows: int) -> Table:
    y, angle, (cos, sin) = g.integers(0, 2, rows), g.uniform(0, np.pi, rows), weights(g, 2)
    arc = np.stack([np.cos(angle), np.sin(angle)], 1)
    X = np.where(y[:, None] == 1, [1.0, 0.5] - arc, arc) + 0.1 * normal(g, rows, 2)
    return noisy(g, X @ np.array([[cos, -sin], [sin, cos]]), y, y.astype(float))


def ring(g: Generator, rows: int) -> Table:
    X = normal(g, rows, 2)
    return above(g, X, np.linalg.norm(X - g.uniform(-0.4, 0.4, 2), axis=1))


def clusters(g: Generator, rows: int) -> Table:
    """Three or four narrow clusters for each class, in 2 or 3 columns."""
    columns, each = g.integers([2, 3], [4, 5])
    return around(g, rows, 2, g.uniform(-2.5, 2.5, (2 * each, columns)), 0.35)


def around(g: Generator, rows: int, classes: int, centres: np.ndarray, spread: float) -> Table:
    """Draw rows around centres whose classes alternate; the oracle's score is the posterior probability."""
    index = g.integers(0, len(centres), rows)
    X = centres[index] + spread * normal(g, rows, centres.shape[1])
    likelihood = np.exp(-0.5 * ((X[:, None] - centres) ** 2).sum(2) / spread**2) + 1e-300
    p = np.stack([likelihood[:, k::classes].sum(1) for k in range(classes)], 1)
    p /= p.sum(1, keepdims=True)
    return noisy(g, X, index % classes, p[:, 1] if classes == 2 else p)


def blobs(g: Generator, rows: int, classes: int) -> Table:
    """One cluster for each class, in 3 to 5 columns."""
    return around(g, rows, classes, g.normal(size=(classes, g.integers(3, 6))), 0.35)


def regions(g: Generator, rows: int, classes: int) -> Table:
    """The class is the nearest of some centres, in 3 to 5 columns."""
    X = normal(g, rows, int(g.integers(3, 6)))
    centres = normal(g, classes, X.shape[1])
    near = -np.linalg.norm(X[:, None] - centres, axis=2)
    others = np.stack([np.delete(near, k, axis=1).max(1) for k in range(classes)], 1)
    return noisy(g, X, near.argmax(1), near - others)


def or_of_ands(g: Generator, rows: int) -> Table:
    X, negated = binary(g, rows, 4), g.integers(0, 2, 4)
    a, b, c, d = (negated != X).T
    y = (a & b) | (c & d)
    return noisy(g, X, y.astype(int), y.astype(float))


def k_of_n(g: Generator, rows: int) -> Table:
    X = binary(g, rows, 7)
    score = (g.integers(0, 2, 7) != X).sum(1).astype(float)
    return noisy(g, X, (score >= 4).astype(int), score)


def xor(g: Generator, rows: int) -> Table:
    X = binary(g, rows, 4)
    y = X[:, 0] != X[:, 1]
    return noisy(g, X, y.astype(int), y.astype(float))


def sum_of_counts(g: Generator, rows: int) -> Table:
    X = counts(g, rows, 4)
    return above(g, X, X.sum(1))


def staircase(g: Generator, rows: int) -> Table:
    """Two columns count their steps, two to four each; half the possible steps are enough."""
    X, score = normal(g, rows, 2), np.zeros(rows)
    for column in X.T:
        steps = np.sort(g.uniform(-1.2, 1.2, g.integers(2, 5)))
        score += np.searchsorted(steps, column) / len(steps)
    return noisy(g, X, (score >= 1).astype(int), score)


def nominal(g: Generator, rows: int, fewest: int, most: int) -> Table:
    """One column of arbitrary codes; a random half of its levels is positive."""
    levels = g.integers(fewest, most + 1)
    index, code = g.integers(0, levels, rows), g.choice(2 * levels, levels, replace=False).astype(float)
    y = g.permutation(np.arange(levels) % 2)[index]
    return noisy(g, code[index, None], y, y.astype(float))


def nested_rules(g: Generator, rows: int) -> Table:
    """One column decides, or else the next one, to depth 3: 1, or else 0, or else 1, or else 0."""
    X = normal(g, rows, 3)
    holds = X * g.choice([-1, 1], 3) > g.uniform(-0.2, 0.4, 3)
    y = np.select(list(holds.T), [1, 0, 1], 0)
    return noisy(g, X, y, y.astype(float))


def weighted_sum(g: Generator, rows: int, columns: Columns, d: int) -> Table:
    X = columns(g, rows, d)
    return above(g, X, X @ weights(g, d))


def rare_linear(g: Generator, rows: int) -> Table:
    X = normal(g, rows, 3)
    score = X @ weights(g, 3) - 1.645  # 5 % of a standard normal are positive
    return Table(X, (score > 0).astype(int), score)


def rare_blob(g: Generator, rows: int) -> Table:
    y, centre = (g.random(rows) < 0.05).astype(int), weights(g, 3)
    X = np.where(y[:, None] == 1, 2 * centre + 0.3 * normal(g, rows, 3), normal(g, rows, 3))
    return Table(X, y, (X**2).sum(1) - ((X - 2 * centre) ** 2).sum(1) / 0.3**2)


def distance(g: Generator, rows: int) -> Table:
    X = normal(g, rows, 2)
    return above(g, X, np.abs(X[:, 0] - X[:, 1]))


SKILLS: dict[str, Skill] = {
    "linear": Skill(linear),
    "ratio": Skill(ratio),
    "difference": Skill(difference),
    "threshold": Skill(lambda g, rows: weighted_sum(g, rows, normal, 1)),
    "staircase": Skill(staircase),
    "nested rules": Skill(nested_rules),
    "moons": Skill(moons),
    "ring": Skill(ring),
    "distance": Skill(distance),
    "clusters": Skill(clusters),
    "or of ands": Skill(or_of_ands, irrelevant=binary),
    "4 of 7": Skill(k_of_n, irrelevant=binary),
    "xor": Skill(xor, irrelevant=binary),
    "sum of counts": Skill(sum_of_counts, irrelevant=counts),
    "nominal, 3–6 levels": Skill(lambda g, rows: nominal(g, rows, 3, 6), irrelevant=codes),
    "nominal, 7–20 levels": Skill(lambda g, rows: nominal(g, rows, 7, 20), irrelevant=codes),
    "Student-t columns": Skill(lambda g, rows: weighted_sum(g, rows, student, 3), irrelevant=student),
    "exponential columns": Skill(lambda g, rows: weighted_sum(g, rows, exponential, 3), irrelevant=exponential),
    "rare, linear": Skill(rare_linear),
    "rare, blob": Skill(rare_blob),
    "regions, 3 classes": Skill(lambda g, rows: regions(g, rows, 3), 3),
    "regions, 5 classes": Skill(lambda g, rows: regions(g, rows, 5), 5),
    "blobs, 3 classes": Skill(lambda g, rows: blobs(g, rows, 3), 3),
    "blobs, 5 classes": Skill(lambda g, rows: blobs(g, rows, 5), 5),
    "blobs, 10 classes": Skill(lambda g, rows: blobs(g, rows, 10), 10),
}


def draw(skill: str, rows: int, irrelevant: int, index: int, judged: int = 256) -> tuple[np.ndarray, ...]:
    """Return X_train, y_train, X_test, y_test: a pure function of the arguments.

    Every class appears twice among the training rows and once among the test rows; other tables are drawn again.
    """
    table, classes, more = SKILLS[skill]
    g = np.random.default_rng([zlib.crc32(skill.encode()), rows, irrelevant, index])
    for _ in range(1000):
        X, y, _ = table(g, rows + judged)
        X = np.concatenate([X, more(g, len(X), irrelevant)], 1)
        X = X[:, g.permutation(X.shape[1])]
        train, test = np.bincount(y[:rows], minlength=classes), np.bincount(y[rows:], minlength=classes)
        if train.min() >= 2 and test.min() >= 1:
            return X[:rows], y[:rows], X[rows:], y[rows:]
    raise ValueError(f"rows: got {rows} and {judged} test rows, too few for the {classes} classes of {skill!r}.")
