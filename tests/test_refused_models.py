"""What `views.model` and the views of learners refuse: random models, mixed rows, and bad arguments, by their names."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from mapsto import explainers, views
from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.learners import PrototypicalNetwork

ROWS = np.random.default_rng(0).normal(size=(60, 3))
NAMES = np.where(ROWS[:, 0] > 0, "sick", np.where(ROWS[:, 1] > 0, "unwell", "well"))
x = torch.tensor(ROWS[0])
NET = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()


class Noisy(nn.Module):
    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw, self.net = draw, NET

    def forward(self, rows: Tensor) -> Tensor:
        return self.net(self.draw(rows))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.turned = nn.Linear(3, 3), nn.Identity()

    def forward(self, rows: Tensor) -> Tensor:
        return self.turned(self.net(self.net(rows)).T).T


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


class Reader(nn.Module):
    """A transformer or an LSTM over three of nine words."""

    def __init__(self, transformer: bool, batch_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=batch_first)
        encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.embed, self.body = nn.Embedding(9, 4), encoder if transformer else nn.LSTM(4, 4, batch_first=batch_first)

    def forward(self, rows: Tensor) -> Tensor:
        states = self.body(self.embed(rows))
        return states[0][:, -1] if isinstance(states, tuple) else states[:, 0]


MIXES: dict[str, Callable[[Tensor], Tensor]] = {
    "the mean": lambda rows: rows - rows.mean(0),
    "the largest": lambda rows: rows / rows.abs().max(0).values.clamp(min=1),
    "the first row": lambda rows: rows - rows[0] + 1,
    "the last row": lambda rows: rows - rows[-1] + 1,
    "the row before": lambda rows: rows + rows.roll(1, 0),
    "the sum so far": lambda rows: rows.cumsum(0),
    "the number of rows": lambda rows: rows / len(rows),
}


@pytest.mark.parametrize("row", [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-0.3, 0.5, 1.2]], ids=str)
@pytest.mark.parametrize("kind", MIXES)
def test_a_function_that_mixes_rows_is_refused(kind: str, row: list[float]) -> None:
    if any(row) or kind not in ("the largest", "the number of rows"):  # which are right for zeros
        for size in (2, 3, 256) if kind != "the last row" else (256,):
            with pytest.raises(MapstoError, match=r"^f: .*other rows.*batch_first=True"):
                views.model(lambda rows: MIXES[kind](rows).sum(1), batch_size=size)(torch.tensor(row))
    views.model(lambda rows: MIXES[kind](rows).sum(1), batch_size=1)(torch.tensor(row))  # so no rows are mixed


def test_a_model_that_is_random_or_mixes_rows_elsewhere_than_at_a_baseline_of_zeros_is_refused() -> None:
    torch.manual_seed(0)
    row = torch.tensor([0.5, 1.0, 3.0])
    branch: Callable[[Tensor], Tensor] = lambda rows: rows.sum(1) if rows[0, 0] > 0 else -rows.sum(1)  # noqa: E731
    for f, said in ((lambda rows: F.dropout(rows, 0.5).sum(1), "got different"), (branch, ".*other rows")):
        with pytest.raises(MapstoError, match=f"^f: {said}"):
            explainers.Shapley()(views.game(views.model(f), row, torch.zeros(3)))


@pytest.mark.parametrize("words", [[3, 8, 1], [0, 0, 0], [8, 8, 8]], ids=str)
@pytest.mark.parametrize("transformer", [True, False])
def test_a_network_without_batch_first_is_refused(transformer: bool, words: list[int]) -> None:
    torch.manual_seed(0)
    row = torch.tensor(words)
    for dtype in (torch.long, torch.float32):
        wrong, right = (Reader(transformer, first).eval() for first in (False, True))
        with pytest.raises(MapstoError, match=r"^f: .*other rows.*batch_first=True"):
            views.model(lambda rows: wrong(rows.long()))(row.to(dtype))  # noqa: B023
        assert views.model(lambda rows: right(rows.long()))(row.to(dtype)).isfinite().all()  # noqa: B023


def test_the_rows_beside_the_first_have_no_new_codes() -> None:
    words: list[int] = []

    def reader(rows: Tensor) -> Tensor:
        words.extend(rows.long().flatten().tolist())
        return rows.sum(1)

    for row in (torch.tensor([3, 8, 0, 1]), torch.tensor([3.0, 8.0, 0.0, 1.0])):
        views.model(reader)(row)
    assert min(words) == 0 and max(words) == 8


def test_a_model_that_fails_on_other_rows_is_asked_about_its_own() -> None:
    def known(rows: Tensor) -> Tensor:
        if not torch.equal(rows, x.expand_as(rows)):
            raise ValueError("another row")
        return rows.sum(1)

    torch.testing.assert_close(views.model(known)(x), x.sum())


def test_an_error_of_both_ways_is_said_once() -> None:
    with pytest.raises(MapstoError, match=r"^f: ") as refusal:
        views.model(nn.Linear(4, 2))(x.float())
    assert str(refusal.value).count("mat1") == 1


def test_the_names_of_the_layers_of_a_module_are_said_in_full() -> None:
    net = nn.ModuleDict({"body": nn.Sequential(nn.Linear(3, 3)), "fc1": nn.Linear(3, 2)})
    with pytest.raises(MapstoError, match=r"^layer: .* of the module: body, body\.0, fc1\.$"):
        views.model(net, layer="fc")
    deep = nn.Sequential(nn.Sequential(nn.Linear(3, 2)))
    assert views.model(deep, layer="0.0").at(x.float())[1].shape == (2,)


def test_one_number_for_each_row_has_no_target() -> None:
    with pytest.raises(MapstoError, match=r"^target: .*None.* one number .*leave target out"):
        views.model(lambda rows: rows.sum(1), target=0)(x)
    support = examples(torch.tensor(ROWS[:4]).float(), torch.tensor([0, 1, 0, 1]))
    learner = PrototypicalNetwork(NET, ways=2)
    with pytest.raises(MapstoError, match=r"^target: .*None.* one number"):
        views.query(learner, support, target=0, link=lambda scores: scores.sum())(support.x[0])


def test_a_game_takes_arrays_and_refuses_tables_and_lists(unchecked: None) -> None:
    h, shapley = views.model(NET, target=0), explainers.Shapley()
    array = ROWS[:3].copy()
    array.flags.writeable = False
    groups = np.array([0, 0, 1])
    for name, arrays in (("background", array), ("baseline", array[1]), ("groups", groups)):
        tensor = torch.tensor(arrays)
        assert torch.equal(shapley(views.game(h, x, **{name: arrays})), shapley(views.game(h, x, **{name: tensor})))
        for other in (pd.DataFrame(ROWS[:3]), [[1.0, 2.0, 3.0]], np.array(["a", "b", "c"])):
            with pytest.raises(MapstoError, match=f"^{name}: "):
                views.game(h, x, **{name: other})
    with pytest.raises(MapstoError, match=r"^x: "):
        views.game(lambda row: row.sum(), ROWS[0])
    assert torch.equal(views.game(h, x, baseline=np.float32(1)).value(torch.zeros(3)), h(torch.ones_like(x)))


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
    "a class of a function": ("target", lambda: views.model(lambda rows: rows, target="sick")(x)),
    "a fraction": ("target", lambda: views.model(fitted(), target=0.5)),
    "no rows at a time": ("batch_size", lambda: views.model(NET, batch_size=0)),
    "a layer of a forest": ("layer", lambda: views.model(fitted(), layer="0")),
    "an unknown layer": ("layer", lambda: views.model(NET, layer="9")),
    "a learner": ("f", lambda: views.model(PrototypicalNetwork(NET, ways=2))),
    "a layer with several outputs": ("layer", lambda: views.model(recurrent(), layer="rnn").at(x.float())),
    "a layer that runs twice": ("layer", lambda: views.model(Twice(), layer="net").at(x.float())),
    "a layer without rows first": ("layer", lambda: views.model(Twice(), layer="turned").at(x.float())),
    "a row for a layer": ("layer", lambda: views.model(NET, layer="0")(x.float())),
    "an explainer of a row for a layer": (
        "layer",
        lambda: explainers.Gradient()(views.model(NET, layer="0"), x.float()),
    ),
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
