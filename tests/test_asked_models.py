"""What `views.model` accepts, how it asks, and what it refuses."""

import re
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import Birch, KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import Tensor, nn
from torch.func import vmap

from mapsto import explainers, views
from mapsto.errors import MapstoError

F64 = torch.float64
ROWS = np.random.default_rng(0).normal(size=(60, 3))
NUMBERS = 2 * ROWS[:, 0] - ROWS[:, 1]
NAMES = np.where(NUMBERS > 1, "sick", np.where(NUMBERS > -1, "unwell", "well"))
FRAME = pd.DataFrame(ROWS, columns=["age", "dose", "weight"])
x = torch.tensor(ROWS[0])
NET = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()


def close(got: Tensor, expected: Any) -> None:
    torch.testing.assert_close(got.detach(), torch.as_tensor(expected).detach())


# ---- estimators


def test_an_estimator_gives_its_most_detailed_answer() -> None:
    forest, two = RandomForestClassifier(5, random_state=0).fit(ROWS, NAMES), NAMES == "sick"
    close(views.model(forest)(x), forest.predict_proba(ROWS[:1])[0])
    svm = LinearSVC().fit(ROWS, NAMES)
    close(views.model(svm, target=1)(x), svm.decision_function(ROWS[:1])[0, 1])
    close(views.model(LinearRegression().fit(ROWS, NUMBERS))(x), NUMBERS[0])
    close(views.model(SVC().fit(ROWS, two))(x), SVC().fit(ROWS, two).decision_function(ROWS[:1])[0])
    both = LinearRegression().fit(ROWS, ROWS[:, :2])
    close(views.model(both, target=1)(x), ROWS[0, 1])


def test_a_class_name_selects_its_column() -> None:
    regression = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, NAMES)
    expected = regression.predict_proba(ROWS[:1])[0]
    for i, name in enumerate(["sick", "unwell", "well"]):
        close(views.model(regression, target=name)(x), expected[i])
        close(views.model(regression.predict_proba, target=name)(x), expected[i])
        close(views.model(regression, target=i)(x), expected[i])


@pytest.mark.parametrize("labels", [(1, 2), (1.0, 2.0), (-1, 1), (7, 9)])
def test_a_label_that_is_a_number_is_said_as_text(labels: tuple, unchecked: None) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, np.where(NUMBERS > 0, labels[1], labels[0]))
    for i, label in enumerate(labels):
        close(views.model(forest, target=str(label))(x), forest.predict_proba(ROWS[:1])[0, i])
    for target in (0, 1, 2, 7, np.int64(1)):
        with pytest.raises(MapstoError, match=rf'^target: .*"{labels[0]}" \(index 0\), "{labels[1]}" \(index 1\)'):
            views.model(forest, target=target)


def test_a_whole_number_is_an_index_if_it_is_the_label_too_or_labels_are_texts() -> None:
    high = NUMBERS > 0
    for labels in (high, high.astype(int), high.astype(float), np.where(high, "2", "1")):
        forest = RandomForestClassifier(5, random_state=0).fit(ROWS, labels)
        close(views.model(forest, target=1)(x), forest.predict_proba(ROWS[:1])[0, 1])
        with pytest.raises(MapstoError, match=r"^target: "):
            views.model(forest, target=7)(x)


def test_an_estimator_of_texts_is_told_to_decode_codes() -> None:
    frame = pd.DataFrame({"age": ROWS[:6, 0], "ward": list("nsnsns")})
    for columns in (frame, frame.to_numpy()):
        encoder = make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough")
        pipeline = make_pipeline(encoder, LogisticRegression()).fit(columns, NAMES[:6] == "well")
        with pytest.raises(MapstoError, match=r"^f: .*code.*columns="):
            views.model(pipeline)(x[:2])


def test_a_model_that_reads_missing_cells_can_hide_columns_by_nan() -> None:
    boosted = HistGradientBoostingRegressor(max_iter=5).fit(ROWS, NUMBERS)
    missing = ROWS[:1].copy()
    missing[0, 1] = np.nan
    effect = boosted.predict(ROWS[:1]) - boosted.predict(missing)
    close(explainers.Occlusion()(views.game(views.model(boosted), x, baseline=float("nan")))[1], effect[0])


def test_the_one_number_of_two_classes_has_two_signs() -> None:
    svm = SVC().fit(ROWS, np.where(NUMBERS > 0, "yes", "no"))
    number = svm.decision_function(ROWS[:1])[0]
    assert abs(number) > 0.1
    close(views.model(svm, target="yes")(x), number)
    close(views.model(svm, target="no")(x), -number)


def test_an_estimator_of_a_frame_gets_its_columns() -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(FRAME, NAMES)  # warns if it gets no names, which is an error
    close(views.model(forest)(x), forest.predict_proba(FRAME[:1])[0])
    close(views.model(forest.predict_proba)(x), forest.predict_proba(FRAME[:1])[0])


# ---- functions

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tensors": lambda rows: torch.stack([2 * rows[:, 0], rows[:, 1]], 1),
    "arrays": lambda rows: np.stack([2 * rows[:, 0].astype(float), rows[:, 1]], 1),
    "arrays alone": lambda rows: np.stack([rows.max(axis=1) * 0 + 2 * rows[:, 0], rows[:, 1]], 1),
    "lists": lambda rows: [[2 * row[0], row[1]] for row in rows.tolist()],
    "a frame out": lambda rows: pd.DataFrame({"a": 2 * rows[:, 0].numpy(), "b": rows[:, 1].numpy()}),
    "whole numbers": lambda rows: (rows[:, :2] > -10).int() * 7,
    "booleans": lambda rows: [[bool(row[0] > 0), True] for row in rows],
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_function_may_read_and_return_any_numbers(kind: str) -> None:
    expected = {"whole numbers": [7.0, 7.0], "booleans": [float(x[0] > 0), 1.0]}.get(kind, [2 * x[0], x[1]])
    h = views.model(FUNCTIONS[kind])
    close(h(x), torch.tensor(expected, dtype=F64))
    close(vmap(h)(torch.tensor(ROWS[:5]))[0], torch.tensor(expected, dtype=F64))


def test_a_function_of_a_frame_gets_named_columns() -> None:
    h = views.model(lambda frame: 2 * frame["age"] + frame["dose"], columns=["age", "dose", "weight"])
    close(explainers.Shapley()(views.game(h, x)), torch.stack([2 * x[0], x[1], 0 * x[2]]))


def _named(rows: Any) -> pd.DataFrame:
    return pd.DataFrame({"no": rows[:, 1].numpy(), "yes": 2 * rows[:, 0].numpy()})


class Named:
    """A model with probabilities in named columns, and without `classes_`."""

    def predict_proba(self, rows: np.ndarray) -> pd.DataFrame:
        return _named(torch.as_tensor(rows))


@pytest.mark.parametrize("f", [_named, Named()])
def test_a_named_column_of_the_answer_is_a_target(f: Any) -> None:
    expected = torch.stack([2 * x[0], 0 * x[1], 0 * x[2]])
    close(explainers.Shapley()(views.game(views.model(f, target="yes"), x)), expected)
    close(views.model(f, target="no")(x), x[1])
    close(views.model(f, target=1)(x), 2 * x[0])
    with pytest.raises(MapstoError, match=r"^target: got 'maybe', expected .* a score, or the name .* \('no', 'yes'\)"):
        views.model(f, target="maybe")(x)


def test_a_name_in_answers_without_unique_names_is_refused() -> None:
    twice = lambda rows: _named(rows).set_axis(["yes", "yes"], axis=1)  # noqa: E731
    for f in (twice, lambda rows: rows, lambda rows: _named(rows)["yes"], lambda rows: pd.DataFrame(rows.numpy())):
        with pytest.raises(MapstoError, match=r"^target: got 'yes', expected None"):
            views.model(f, target="yes")(x)
    close(views.model(twice, target=0)(x), x[1])
    with pytest.raises(MapstoError, match=r"^target: got 'yes', .*f has no named scores"):
        views.model(NET, target="yes")


def test_a_function_of_tensors_keeps_its_gradient() -> None:
    close(explainers.Gradient()(views.model(lambda rows: NET(rows.float())[:, 1]), x.float()), _slope(1))


def _slope(target: int) -> Tensor:
    return explainers.Gradient()(lambda x: NET(x[None])[0, target], x.float())


Said = namedtuple("Said", ["logits", "states"])


@dataclass
class Answer:
    states: Tensor
    scores: Tensor


@pytest.mark.parametrize(
    "wrap",
    [
        *(lambda s: {"logits": s, "states": s[:, :1]}, lambda s: {"scores": s, "loss": None}),
        *(lambda s: (s, None), lambda s: (s,), lambda s: Answer(s[:, :, None], s), lambda s: Said(s, s)),
        *(lambda s: (s, s[:, :, None]), lambda s: {"scores": s, "loss": s.sum(), "states": s[:, None]}),
    ],
)
def test_the_one_tensor_of_a_dictionary_or_tuple_is_explained(wrap: Callable[[Tensor], Any]) -> None:
    class Wrapped(nn.Module):
        def forward(self, rows: Tensor) -> Any:
            return wrap(NET(rows))

    close(views.model(Wrapped())(x.float()), NET(x[None].float())[0])
    close(explainers.Gradient()(views.model(Wrapped(), target=0), x.float()), _slope(0))


# ---- models of several inputs


class Ward(nn.Module):
    """A ward, two measurements, and a series of two numbers for each of two days, to two scores."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wards, self.body, self.head = nn.Embedding(4, 3), nn.Linear(9, 5), nn.Linear(5, 2)

    def forward(self, ward: Tensor, numbers: Tensor, series: Tensor) -> Tensor:
        assert ward.dtype == torch.int64 and series.shape[1:] == (2, 2)
        columns = [self.wards(ward), numbers, series.flatten(1)]
        return self.head(torch.tanh(self.body(torch.cat(columns, 1))))


WARD = Ward().eval()
PATIENT = (torch.tensor(3), torch.tensor([0.5, -1.0]), torch.tensor([[1.0, 0.2], [-0.4, 2.0]]))
BATCH = tuple(part[None] for part in PATIENT)


def test_a_model_of_several_inputs_is_explained_by_all_their_entries() -> None:
    h = views.model(WARD, target=1)
    close(h(PATIENT), WARD(*BATCH)[0, 1])
    view, point = h.at(PATIENT)
    close(point, torch.tensor([3, 0.5, -1.0, 1.0, 0.2, -0.4, 2.0]))
    values = explainers.Occlusion()(views.game(h, PATIENT))
    for i, (part, entry) in enumerate([(1, (0, 0)), (1, (0, 1)), (2, (0, 0, 0)), (2, (0, 0, 1)), (2, (0, 1, 0))], 1):
        hidden = [each.clone() for each in BATCH]
        hidden[part][entry] = 0
        close(values[i], WARD(*BATCH)[0, 1] - WARD(*hidden)[0, 1])
    close(values[0], WARD(*BATCH)[0, 1] - WARD(0 * BATCH[0], *BATCH[1:])[0, 1])
    _, numbers, series = explainers.Gradient()(view, point).split([1, 2, 4])
    expected = torch.func.grad(lambda a, b: WARD(BATCH[0], a[None], b[None])[0, 1], argnums=(0, 1))(*PATIENT[1:])
    close(numbers, expected[0])
    close(series.view(2, 2), expected[1])
    both = tuple(torch.stack([part, part]) for part in PATIENT)
    close(vmap(lambda *parts: explainers.Gradient()(*h.at(parts)))(*both)[1, 1:3], expected[0])


def test_inputs_may_have_names_and_a_model_of_them_may_be_a_function_or_have_layers() -> None:
    def dictionary(numbers: Any, ward: Any) -> Any:
        return {"scores": numbers * 2 + ward[:, None], "states": numbers[:, None, :]}

    def arrays(ward: Any, numbers: Any) -> Any:
        return np.asarray(numbers).max(axis=1) * ward.astype(int)

    close(views.model(dictionary)({"ward": PATIENT[0], "numbers": PATIENT[1]}), 2 * PATIENT[1] + 3)
    close(views.model(arrays)(PATIENT[:2]), torch.tensor(1.5))
    view, point = views.model(WARD, target=0, layer="body").at(PATIENT)
    assert point.shape == (5,)
    close(explainers.Gradient()(view, point), WARD.head.weight[0] * (1 - point.tanh() ** 2))
    close(view(point), WARD(*BATCH)[0, 0])
    tokens = views.model(lambda a, b: a + b)((torch.tensor([1, 2]), torch.tensor([3, 4])))
    close(tokens, torch.tensor([4.0, 6.0]))


def test_several_inputs_are_refused_where_one_is_needed(unchecked: None) -> None:
    h = views.model(WARD, target=1)
    calls: dict[str, Callable[[], Any]] = {
        "point": lambda: explainers.Gradient()(h, PATIENT),
        "x": lambda: views.model(LinearRegression().fit(ROWS, NUMBERS))((x, x)),
        "game": lambda: explainers.Shapley()(WARD),
    }
    for name, call in calls.items():
        with pytest.raises(MapstoError, match=f"^{name}: "):
            call()
    for wrong in ((), (x, 3.0), {"a": None}, [ROWS]):
        with pytest.raises(MapstoError, match=r"^x: "):
            h(wrong)


def test_the_page_about_models_of_your_own_runs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "explaining.md").read_text()
    section = page.partition("## Explain your own model\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3 and names["point"].shape == (8,) and names["values"].shape == (2,)


# ---- dtypes


def test_rows_take_the_dtype_of_the_module_and_scores_that_of_the_rows() -> None:
    h = views.model(NET, target=1)
    expected = NET(x[None].float())[0, 1]
    assert h(x).dtype == F64 and h(x.float()).dtype == torch.float32
    close(h(x).float(), expected)
    slope = explainers.Gradient()(h, x)
    assert slope.dtype == F64
    close(slope.float(), _slope(1))
    whole = torch.tensor([1, -2, 3])
    close(h(whole), NET(whole[None].float())[0, 1])
    close(explainers.Occlusion()(views.game(h, whole)), explainers.Occlusion()(views.game(h, whole.float())))


def test_integer_columns_stay_integers_where_the_module_reads_them() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(5, 2), nn.Linear(3, 1)

        def forward(self, rows: Tensor) -> Tensor:
            return self.head(torch.cat([self.table(rows[:, 0].long()), rows[:, 1:2]], 1))

    net = Mixed().eval()
    row = torch.tensor([3.0, 0.5])
    close(views.model(net)(row), net(row[None])[0])
    slope = explainers.Gradient()(views.model(net, target=0), row)
    close(slope, torch.stack([torch.zeros(()), net.head.weight[0, 2]]))
    tokens = torch.tensor([1, 4])
    bag = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(4, 2)).eval()
    close(views.model(bag)(tokens), bag(tokens[None])[0])


def test_integers_are_not_hidden_by_fractions() -> None:
    h, whole = views.model(NET, target=1), torch.tensor([1, -2, 3])
    for name, absent in (("baseline", 0.5), ("baseline", float("nan")), ("background", torch.full((2, 3), 0.5))):
        with pytest.raises(MapstoError, match=f"^{name}: "):
            views.game(h, whole, **{name: absent})


def test_a_cluster_is_explained_by_membership_and_not_by_its_number() -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    for model in (KMeans(4, n_init=1, random_state=0), make_pipeline(StandardScaler(), Birch(n_clusters=3))):
        labels = model.fit(X).predict(X)
        scores = torch.stack([views.model(model)(torch.tensor(row)) for row in X[:9]])
        assert scores.shape == (9, labels.max() + 1) and scores.argmax(1).tolist() == labels[:9].tolist()
        assert scores.sum(1).tolist() == [1.0] * 9 and len(set(labels[:9])) > 1
        row, other = X[0], X[labels != labels[0]][0]
        game = views.game(views.model(model, target=int(labels[0])), torch.tensor(row), torch.tensor(other))
        assert explainers.Shapley()(game).sum() == pytest.approx(1)
        explained = explainers.Explainer(model, pd.DataFrame(X[:9], columns=list("abc")))(
            pd.DataFrame(X[:2], columns=list("abc"))
        )
        np.testing.assert_allclose(explained.predictions, scores[:2], atol=1e-6)


def test_an_unfitted_estimator_is_refused_in_one_sentence() -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    frame = pd.DataFrame({"text": ["a good day", "a bad day"]})
    for call in (lambda: views.model(pipeline)(torch.zeros(3)), lambda: explainers.Explainer(pipeline, frame)):
        with pytest.raises(MapstoError, match=r"^f: got an estimator that is not fitted, .*; call its fit first\.$"):
            call()


@pytest.mark.parametrize("names", [("alive", "dead"), (0, 1), (1, 2)])
def test_a_classifier_that_only_predicts_has_one_score_for_each_class(names: tuple) -> None:
    y = np.where(NUMBERS > 0, names[1], names[0])
    voting = VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(5, random_state=0))])
    voting.fit(ROWS, y)
    scores = vmap(views.model(voting))(torch.tensor(ROWS))
    expected = (voting.predict(ROWS)[:, None] == np.array(names)).astype(float)
    assert scores.tolist() == expected.tolist() and 0 < expected[:, 1].mean() < 1
    target = names[1] if names == (0, 1) else str(names[1])
    assert vmap(views.model(voting, target=target))(torch.tensor(ROWS)).tolist() == expected[:, 1].tolist()
