"""Anchors: a rule of few conditions that suffices for one prediction, whatever values the other columns have.

    prec(A) = P(classifier(z) = classifier(row) | z ~ D(· | A)),   cov(A) = P(A(z)),   max cov(A) where prec(A) ≥ τ

(Ribeiro, Singh & Guestrin 2018, "Anchors"). A is a rule that the row meets, prec its precision, cov its coverage, and τ
the requested precision. D(· | A) draws a background row, and redraws each column that breaks its condition from the
background values that meet it.

The search is the beam search of their Algorithm 2. Each level adds a condition to the best rules so far (or tightens
one), drops rules that cover less than the best anchor so far, and lets the bandit algorithm KL-LUCB choose the `beam`
most precise rules (`bandit.best`).

There are four departures. A rule counts as an anchor only if fresh draws confirm it, with bounds that hold for all
tested rules together and whenever the test stops (`bandit.certify`). Since coverage is maximised, the rules of largest
coverage that look precise are tested too. Rules about every column are never tried: they describe the row, not the
classifier. And the search ends at `max_size` conditions; the result says if no anchor was found by then.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float, Int

from ... import checks
from . import bandit
from .classifier import Classifier, Inquiry, TableExplainer
from .predicates import Predicate, conditions, matches, sentence

Rule = tuple[int, ...]  # positions among the row's conditions, ascending


class Anchor(NamedTuple):
    """A rule that the explained row meets, with its precision and its coverage.

    Args:
        predicates: the conditions of the rule.
        label: the class that the classifier gives the row.
        precision: of random rows that meet the rule, the fraction to which the classifier gives the class `label`.
        precision_bounds: the lower and upper confidence bound of the precision.
        coverage: the fraction of background rows that meet the rule.
        coverage_bounds: the lower and upper confidence bound of the coverage.
        found: False if no tested rule reaches the requested precision with confidence. The rule is then the most
            precise one of those tested.
        samples: the number of random rows from which `precision` was estimated.
        evaluations: the total number of rows that the classifier evaluated.
    """

    predicates: tuple[Predicate, ...]
    label: int
    precision: float
    precision_bounds: tuple[float, float]
    coverage: float
    coverage_bounds: tuple[float, float]
    found: bool
    samples: int
    evaluations: int

    @property
    def columns(self) -> tuple[int, ...]:
        """The column numbers of the rule's conditions, ascending."""
        return tuple(sorted({condition.column for condition in self.predicates}))

    def __str__(self) -> str:
        rule = sentence(self.predicates) or "any row"
        return rule if self.found else f"no anchor found; the nearest to one: {rule}"


@final
class Anchors(TableExplainer):
    """Find a short rule that a row meets, such that almost all rows that meet the rule get the same class as the row.

    A rule is a list of conditions that the row meets. A condition on a numeric column compares it with one of the
    column's quantiles. For a categorical column, and for a numeric column with at most `bins` different values, the
    condition is instead equality with the row's value. The precision of a rule is measured on random rows that meet the
    rule: it is the fraction of these rows to which the classifier gives the explained row's class. The coverage of a
    rule is the fraction of background rows that meet it. The anchor is the rule of largest coverage among the rules
    found to be precise enough.

    The search asks the classifier for about 100,000 predictions if the table has eight columns, and for about 450,000
    if it has thirty (benchmarks/rules.py). If the classifier is slow, choose smaller numbers for `batch`, `beam` and
    `budget`.

    Args:
        background: rows of the table: a tensor, an array or a DataFrame. The search makes random rows from them.
        names: the names of the columns. If None, they are the column names of the DataFrame or, for other backgrounds,
            x0, x1, ...
        categorical: the names or positions of the columns whose numbers are mere labels.
        precision: the precision that an anchor must reach.
        confidence: the probability that the anchor reaches `precision` and that all reported bounds hold.
        max_size: the largest number of conditions in a rule.
        bins: the number of equally large groups into which quantiles divide the values of a numeric column.
        beam: the number of rules that each level of the search keeps. A level adds one condition to each rule.
        epsilon: the largest difference in precision that is ignored when a level chooses the rules that it keeps.
        batch: the smallest number of random rows to draw for a rule at a time.
        budget: the largest number of random rows for the final test of one rule. To choose the rules that it keeps,
            each level of the search draws `batch` rows for each rule, and then at most `budget` more rows.
        seed: the random seed.
        chunk_size: the largest number of rows in one call of the classifier.

    >>> X = np.random.default_rng(0).normal(size=(1000, 4)).round(1)
    >>> ask = Anchors(X, names=["age", "bmi", "dose", "pulse"])
    >>> anchor = ask(lambda x: (x[:, 0] > 0) & (x[:, 2] < 0), np.array([1.0, 0.3, -1.0, 0.0]))
    >>> print(anchor)
    age > 0 and dose <= -0.1
    >>> anchor.found, anchor.precision
    (True, 1.0)
    """

    def __init__(
        self,
        background: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[str | int] = (),
        precision: float = 0.95,
        confidence: float = 0.95,
        max_size: int = 6,
        bins: int = 4,
        beam: int = 8,
        epsilon: float = 0.1,
        batch: int = 128,
        budget: int = 5000,
        seed: int = 0,
        chunk_size: int = 8192,
    ):
        super().__init__(background, names, categorical, seed, chunk_size)
        for name, value in {"precision": precision, "confidence": confidence, "epsilon": epsilon}.items():
            checks.expect(0 < value < 1, name, value, "a number between 0 and 1")
        checks.count(max_size=max_size, beam=beam, batch=batch)
        checks.count(2, bins=bins)
        checks.count(batch, budget=budget)
        self.precision, self.confidence, self.max_size, self.bins = precision, confidence, max_size, bins
        self.beam, self.epsilon, self.batch, self.budget = beam, epsilon, batch, budget

    def __call__(self, classifier: Classifier, row: Any) -> Anchor:
        """Return the anchor for the classifier's prediction of `row`, a row in the same form as the background's rows.

        Raises:
            MapstoError: if the row does not fit the background, or the classifier returns neither class indices `[n]`
                nor scores `[n, k]`.
        """
        return _Search(self, classifier, self.background.row(row)).anchor()

    def covers(self, anchor: Anchor, rows: Any) -> Bool[np.ndarray, " n"]:
        """Return, for each row, whether it meets the anchor's rule; `rows` has the same form as the background."""
        return matches(anchor.predicates, self.background.encode(rows, "rows"))


class _Tested(NamedTuple):
    rule: Rule
    coverage: float
    certificate: bandit.Certificate


class _Search:
    """The search for one row's anchor."""

    def __init__(self, settings: Anchors, classifier: Classifier, row: Float[np.ndarray, " d"]):
        self.settings, self.values = settings, settings.background.values
        self.inquiry = Inquiry(classifier, settings.background, settings.chunk_size)
        self.label = int(self.inquiry(row[None]).classes[0])
        self.conditions = conditions(settings.background, row, settings.bins)
        self.met = np.array([matches([c], self.values) for c in self.conditions])  # [p, n]
        self.generator = np.random.default_rng(settings.seed)
        self.tested: list[_Tested] = []
        self.weighed = 1  # rules whose coverage was computed, including the empty one

    def anchor(self) -> Anchor:
        """Search level by level, from the rule without conditions."""
        beam: list[Rule] = [()]
        best = self._widest(beam, {(): 1.0})
        for _ in range(self.settings.max_size):
            rules = self._grown(beam, best.coverage if best else 0.0)
            if not rules:
                break
            beam, likely = self._precise(list(rules))
            best = self._widest(beam + likely, rules) or best
        return self._result(best)

    def _grown(self, beam: Sequence[Rule], beyond: float) -> dict[Rule, float]:
        """Return the beam's rules with one condition more or tighter that cover more than `beyond`, widest first."""
        grown: dict[Rule, float] = {}
        for rule in beam:
            coverage = (self.met & self._all(rule)).mean(1)  # [p]
            for i in np.flatnonzero(coverage > beyond):
                joined = self._joined(rule, int(i))
                if joined != rule and len({self.conditions[j].column for j in joined}) < self.values.shape[1]:
                    grown[joined] = float(coverage[i])
        self.weighed += len(grown)
        return dict(sorted(grown.items(), key=lambda item: (-item[1], item[0])))

    def _joined(self, rule: Rule, new: int) -> Rule:
        """Add a condition to a rule; of two conditions with the same column and sign, keep the tighter one."""
        same = [i for i in rule if self.conditions[i][:2] == self.conditions[new][:2]]
        if any(self.met[i].sum() <= self.met[new].sum() for i in same):
            return rule
        return tuple(sorted({*rule, new} - set(same)))

    def _precise(self, rules: list[Rule]) -> tuple[list[Rule], list[Rule]]:
        """Return the most precise rules, and the widest rules whose estimate reaches the requested precision."""
        s, m = self.settings, min(self.settings.beam, len(rules))

        def pull(arms: Int[np.ndarray, " a"], draws: int) -> Int[np.ndarray, " a"]:
            return self._kept([rules[i] for i in arms], draws)

        top, tally = bandit.best(pull, len(rules), m, s.epsilon, 1 - s.confidence, s.batch, s.budget)
        likely = np.flatnonzero(tally.means >= s.precision)[: s.beam]  # the rules come with the widest first
        return [rules[i] for i in top], [rules[i] for i in likely]

    def _widest(self, rules: Sequence[Rule], coverage: dict[Rule, float]) -> _Tested | None:
        """Test rules from the largest coverage on, and return the first that is an anchor; None if there is none."""
        s = self.settings
        delta = (1 - s.confidence) / (1 + 2 * s.beam * s.max_size)  # the most rules that can be tested
        for rule in sorted(set(rules), key=lambda rule: (-coverage[rule], rule)):
            certificate = bandit.certify(
                lambda n: int(self._kept([rule], n)[0]),  # noqa: B023
                s.precision,
                delta,
                s.batch,
                s.budget,
            )
            self.tested.append(_Tested(rule, coverage[rule], certificate))
            if certificate.lower >= s.precision:
                return self.tested[-1]
        return None

    def _kept(self, rules: Sequence[Rule], draws: int) -> Int[np.ndarray, " r"]:
        """Return, for each rule, how many of its random rows get the class of the explained row, in one call.

        All rules start from the same background rows, so that they differ by their conditions only.
        """
        which = self.generator.integers(len(self.values), size=draws)
        rows = np.concatenate([self._perturbed(rule, which) for rule in rules])
        return (self.inquiry(rows).classes == self.label).reshape(len(rules), draws).sum(1)

    def _perturbed(self, rule: Rule, which: Int[np.ndarray, " draws"]) -> Float[np.ndarray, "draws d"]:
        """Draw from D(· | rule), starting from the background rows `which`."""
        rows = self.values[which]
        for column in {self.conditions[i].column for i in rule}:
            meets = self._all([i for i in rule if self.conditions[i].column == column])  # [n]
            broken = ~meets[which]
            rows[broken, column] = self.generator.choice(self.values[meets, column], int(broken.sum()))
        return rows

    def _all(self, rule: Sequence[int]) -> Bool[np.ndarray, " n"]:
        return np.asarray(self.met[list(rule)].all(0))

    def _result(self, best: _Tested | None) -> Anchor:
        s, rule = self.settings, best or max(self.tested, key=lambda t: (t.certificate.mean, t.coverage))
        beta = float(np.log(2 * self.weighed / (1 - s.confidence)))
        share, rows = np.array(rule.coverage), np.array(len(self.values))
        covers = float(bandit.lower(share, rows, beta)), float(bandit.upper(share, rows, beta))
        c, predicates = rule.certificate, tuple(self.conditions[i] for i in rule.rule)
        bounds, evaluations = (c.lower, c.upper), self.inquiry.evaluations
        return Anchor(
            predicates, self.label, c.mean, bounds, rule.coverage, covers, best is not None, c.draws, evaluations
        )
