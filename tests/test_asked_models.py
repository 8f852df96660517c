"""What `views.model` accepts, how it asks, and what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F

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


def test_a_function_of_tensors_keeps_its_gradient() -> None:
    close(explainers.Gradient()(views.model(lambda rows: NET(rows.float())[:, 1]), x.float()), _slope(1))


def _slope(target: int) -> Tensor:
    return explainers.Gradient()(lambda x: NET(x[None])[0, target], x.float())


@pytest.mark.parametrize(
    "wrap",
    [
        *(lambda s: {"logits": s, "states": s[:, :1]}, lambda s: {"scores": s, "loss": None}),
        *(lambda s: (s, None), lambda s: (s,)),
    ],
)
def test_the_one_tensor_of_a_dictionary_or_tuple_is_explained(wrap: Callable[[Tensor], Any]) -> None:
    class Wrapped(nn.Module):
        def forward(self, rows: Tensor) -> Any:
            return wrap(NET(rows))

    close(views.model(Wrapped())(x.float()), NET(x[None].float())[0])
    close(explainers.Gradient()(views.model(Wrapped(), target=0), x.float()), _slope(0))


def test_the_page_about_models_of_your_own_runs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "explaining.md").read_text()
    section = page.partition("## Explain your own model\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2 and names["values"].shape == (30,) and names["point"].shape == (8,)


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


# ---- refusals


class Noisy(nn.Module):
    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw, self.net = draw, NET

    def forward(self, rows: Tensor) -> Tensor:
        return self.net(self.draw(rows))


class AtLast(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return F.dropout(rows, 0.5, training=len(rows) == 1)


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(3, 1, dropout=0.5, batch_first=True), NET

    def forward(self, rows: Tensor) -> Tensor:
        tokens = rows[:, None] + torch.arange(9.0)[:, None]
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def recurrent(**options: Any) -> nn.Module:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(1, 16, num_layers=2, batch_first=True, **options)

        def forward(self, rows: Tensor) -> Tensor:
            return self.rnn(rows[..., None])[0][:, -1]

    return Recurrent()


SAYS_EVAL = {
    "dropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1)),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
    "batch norm without statistics": lambda: nn.BatchNorm1d(3, track_running_stats=False).eval(),
    "attention": Attentive,
    "lstm": lambda: recurrent(dropout=0.5),
    "functional dropout": lambda: Noisy(lambda rows: F.dropout(rows, 0.5)),
    "a function of a random module": lambda: lambda rows: F.dropout(NET(rows), 0.5),
    "the method of a module": lambda: nn.Dropout(0.5).forward,
}


@pytest.mark.parametrize("kind", SAYS_EVAL)
def test_a_random_or_mixing_model_is_told_to_evaluate(kind: str) -> None:
    with pytest.raises(MapstoError, match=r"^f: .*model\.eval\(\)"):
        views.model(SAYS_EVAL[kind]())(x.float())


def test_a_model_in_evaluation_mode_is_not_random() -> None:
    for make in (SAYS_EVAL["dropout"], SAYS_EVAL["batch norm"], Attentive, lambda: recurrent(dropout=0.5)):
        assert views.model(make().eval())(x.float()).isfinite().all()
    assert views.model(recurrent())(x.float()).shape == (16,)
    noise = np.random.default_rng(0)
    with pytest.raises(MapstoError, match=r"^f: got different"):
        views.model(lambda rows: rows.numpy()[:, 0] + noise.normal(size=len(rows)))(x)


def fitted(names: Any = NAMES) -> RandomForestClassifier:
    return RandomForestClassifier(2, random_state=0).fit(ROWS, names)


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "no model": ("f", lambda: views.model(3.0)),
    "not fitted": ("f", lambda: views.model(RandomForestClassifier())(x)),
    "rows of another width": ("f", lambda: views.model(fitted())(x[:2])),
    "rows of another width of a module": ("f", lambda: views.model(NET)(x[:2])),
    "several rows": ("f", lambda: views.model(fitted())(torch.tensor(ROWS[:2]))),
    "an array": ("x", lambda: views.model(fitted())(ROWS[0])),
    "a table as one row": ("f", lambda: views.model(lambda rows: rows.sum())(x)),
    "too many axes": ("f", lambda: views.model(lambda rows: rows[:, None, None])(x)),
    "class names": ("f", lambda: views.model(fitted().predict)(x)),
    "two tensors": ("f", lambda: views.model(lambda rows: {"a": rows, "b": rows})(x)),
    "a tuple of two": ("f", lambda: views.model(nn.LSTM(3, 2, batch_first=True).double())(x[None])),
    "nothing": ("f", lambda: views.model(lambda rows: None)(x)),
    "an index too high": ("target", lambda: views.model(fitted(), target=3)(x)),
    "a negative index": ("target", lambda: views.model(fitted(), target=-1)(x)),
    "an index of one number": ("target", lambda: views.model(lambda rows: rows[:, 0], target=0)(x)),
    "an unknown class": ("target", lambda: views.model(fitted(), target="dead")),
    "a class of a function": ("target", lambda: views.model(lambda rows: rows, target="sick")),
    "a fraction": ("target", lambda: views.model(fitted(), target=0.5)),
    "no rows at a time": ("batch_size", lambda: views.model(NET, batch_size=0)),
    "a layer of a forest": ("layer", lambda: views.model(fitted(), layer="0")),
    "an unknown layer": ("layer", lambda: views.model(NET, layer="9")),
    "names for a module": ("columns", lambda: views.model(NET, columns=["a", "b", "c"])),
    "a learner's view of a module": ("learner", lambda: views.query(NET, None)),
    "a learner's state of a module": ("learner", lambda: views.state(NET, {}, x)),
    "a module as a module": ("learner", lambda: views.as_module(NET, None)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_name(case: str, unchecked: None) -> None:
    name, call = REFUSED[case]
    with pytest.raises(MapstoError, match=f"^{re.escape(name)}: ") as refusal:
        call()
    if name == "learner":
        assert "mt.views.model" in str(refusal.value)


def test_a_learner_with_a_random_body_is_refused() -> None:
    from mapsto.episodes import examples
    from mapsto.learners import PrototypicalNetwork

    support = examples(torch.tensor(ROWS[:4]).float(), torch.tensor([0, 1, 0, 1]))
    row = support.x[0]
    for body in (Attentive(), recurrent(dropout=0.5), Noisy(lambda rows: F.dropout(rows, 0.5))):
        learner = PrototypicalNetwork(body, ways=2)
        for call in (views.query, lambda *given: views.weights(*given, row)(support.w)):
            with pytest.raises(MapstoError, match=r"^learner: .*learner\.eval\(\)"):
                call(learner, support)
    late = views.query(PrototypicalNetwork(AtLast(), ways=2), support, target=0)  # random for one row only
    for explain in (
        late,
        lambda x: explainers.Gradient()(late, x),
        lambda x: explainers.Smooth(explainers.Gradient())(late, x),
    ):
        with pytest.raises((MapstoError, RuntimeError), match=r"random"):
            explain(row)
