"""What `views.model` and the views of learners refuse: random models, mixed rows, and bad arguments, by their names."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
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
