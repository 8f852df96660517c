"""Models of all kinds through `views.model`: Shapley values, LIME, occlusion and paths against independent references.

The reference for hiding asks the model for each of its coalitions in a plain loop, and computes Shapley values from
marginal contributions and LIME by scikit-learn's ridge regression. The reference for paths is captum.
"""

import itertools
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import captum.attr
import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from mapsto import explainers as E
from mapsto import views
from mapsto.games import Game

F64 = torch.float64


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


class Case(NamedTuple):
    model: Any
    scores: Callable[[Tensor], Tensor]  # of rows, in the plain way
    x: Tensor
    target: int
    background: Tensor
    groups: Tensor | None = None


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 5, num_layers=2, dropout=0.2, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)
        self.lift, self.head = nn.Linear(2, 4), nn.Linear(4, 3)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.lift(x)).mean(1))


def started(net: nn.Module) -> nn.Module:
    for i, parameter in enumerate(net.to(F64).parameters()):
        parameter.data = randn(*parameter.shape, seed=i) * 0.7
    return net.eval()


def of_network(net: nn.Module, *shape: int, target: int = 1, groups: Tensor | None = None) -> Case:
    return Case(started(net), lambda rows: net(rows).detach(), randn(*shape, seed=8), target, randn(3, *shape), groups)


def of_trees(trees: Any) -> Case:
    rows = randn(150, 5, seed=4).numpy()
    trees.fit(rows, (rows[:, 0] * rows[:, 1] > 0) * 1)
    scores = lambda rows: torch.tensor(trees.predict_proba(rows.numpy())).double()  # noqa: E731
    return Case(trees, scores, torch.tensor(rows[0]), 1, torch.tensor(rows[1:6]))


def boosting() -> Any:
    if find_spec("xgboost"):
        import xgboost

        return xgboost.XGBClassifier(n_estimators=10)
    return HistGradientBoostingClassifier(max_iter=10)


STEPS = torch.arange(4)[:, None].expand(4, 2)
CASES: dict[str, Callable[[], Case]] = {
    "forest": lambda: of_trees(RandomForestClassifier(10, max_depth=5, random_state=0)),
    "boosting": lambda: of_trees(boosting()),
    "LSTM": lambda: of_network(Recurrent(), 4, 2, groups=STEPS),
    "transformer": lambda: of_network(Transformer(), 4, 2, groups=STEPS),
    "CNN in place": lambda: of_network(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.ReLU(inplace=True),
                      nn.Flatten(), nn.Linear(8, 2)), 1, 6, 6, groups=E.patches((1, 6, 6), 3)),
    "100 classes": lambda: of_network(
        nn.Sequential(nn.Linear(5, 8), nn.ReLU(inplace=True), nn.Linear(8, 100)), 5, target=77),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_any_model_is_explained_as_by_independent_code(kind: str) -> None:
    case = CASES[kind]()
    players = case.x.numel() if case.groups is None else int(case.groups.max()) + 1
    places = torch.arange(players).reshape(case.x.shape) if case.groups is None else case.groups
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=players)))
    outcomes = {
        tuple(mask): case.scores(torch.where(torch.tensor(mask)[places] > 0.5, case.x, case.background)).mean(0).numpy()
        for mask in masks
    }
    table = np.stack(list(outcomes.values()))  # [c, k]

    def shapley(i: int) -> np.ndarray:
        total = np.zeros(table.shape[1])
        for mask in masks[masks[:, i] == 0]:
            size = int(mask.sum())
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            total += weight * (outcomes[tuple(mask + np.eye(players)[i])] - outcomes[tuple(mask)])
        return total

    game = views.game(views.model(case.model), case.x, background=case.background, groups=case.groups)
    exact = torch.tensor(np.stack([shapley(i) for i in range(players)]))
    assert exact[:, case.target].abs().max() > 1e-2
    torch.testing.assert_close(E.Shapley()(game), exact)
    for sampled in (E.Shapley(samples=2**players - 4), E.PermutationShapley(60)):
        torch.testing.assert_close(sampled(game), exact, atol=0.1 * float(exact.abs().max()), rtol=0)
    torch.testing.assert_close(E.BayesianShapley(2**players)(game), exact)
    weights = np.exp(-(players - masks.sum(1)) / (2 * (0.75 * players**0.5) ** 2))
    line = LinearRegression().fit(masks, table, sample_weight=weights)
    torch.testing.assert_close(E.LIME()(game), torch.tensor(line.coef_.T))
    hidden = np.stack([outcomes[(1.0,) * players] - outcomes[tuple(1 - one)] for one in np.eye(players)])
    torch.testing.assert_close(E.Occlusion()(game), torch.tensor(hidden))
    if isinstance(case.model, nn.Module):
        paths = captum.attr.IntegratedGradients(case.model)
        options: dict[str, Any] = {"target": case.target, "n_steps": 16, "method": "gausslegendre"}
        expected = paths.attribute(case.x[None], case.background[:1], **options)[0]
        view = views.model(case.model, target=case.target)
        torch.testing.assert_close(E.IntegratedGradients(16, baseline=case.background[0])(view, case.x), expected)


def test_a_game_of_a_model_is_asked_in_batches_outside_vmap() -> None:
    """As a call of another program, which counts what it is asked for."""
    rows = list[int]()

    def service(batch: list[list[float]]) -> list[dict[str, float]]:
        rows.append(len(batch))
        return [{"risk": row[0] * row[1] + row[2]} for row in batch]

    h = views.model(lambda x: np.array([answer["risk"] for answer in service(np.asarray(x).tolist())]), batch_size=50)
    game = views.game(h, torch.tensor([1.0, 2.0, 3.0]))
    assert isinstance(game, Game)
    torch.testing.assert_close(E.Shapley()(game), torch.tensor([1.0, 1.0, 3.0]))
    torch.testing.assert_close(E.ShapleyInteractions()(game)[0, 1], torch.tensor(1.0))
    assert rows[-1] == 8 and len(rows) <= 5 + 2  # all coalitions in one call
