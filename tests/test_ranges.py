"""The ends of each documented range: the last value that is allowed works, the first beyond it is refused by name."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mapsto import explainers as E
from mapsto import learners, measures, models, seeing, tasks, views
from mapsto.adaptation import inner
from mapsto.adaptation.differentiation import FiniteDifference, Truncated
from mapsto.errors import MapstoError
from mapsto.explainers import Game, coalitions, quadrature
from mapsto.explainers.learned import AmortisedShapley, Interpreter, players
from mapsto.joint import Joint
from mapsto.learners.vsml import LSTMWeight
from mapsto.measures.faithfulness import eval_x, road
from mapsto.measures.robustness import stability
from mapsto.models.soft_tree import SoftDecisionTree
from mapsto.penalties import Balance
from mapsto.seeing.embedding import purity
from mapsto.tables.splits import split
from mapsto.tasks import sampling
from mapsto.training.estimators import EvolutionStrategies
from mapsto.training.settings import Settings

pytestmark = pytest.mark.usefixtures("unchecked")

LITTLE = 1e-9
X = np.random.default_rng(0).normal(size=(20, 3))
ROWS = torch.from_numpy(X[:6]).float()
LABELS = torch.arange(6) % 2
OUTCOME = pd.Series(["yes", "no"] * 10)


def body() -> nn.Module:
    return nn.Linear(3, 2)


def arrays(**options: Any) -> tasks.Arrays:
    return tasks.Arrays(X, np.arange(20) % 4, **{"ways": 2, "shots": 1, "queries": 1, "splits": (1.0, 0, 0)} | options)


def curves(steps: int) -> Any:
    return measures.insertion_deletion(lambda x: views.game(torch.sum, x), ROWS, ROWS, steps)


Case = tuple[str, Callable[[Any], Any], list[Any], list[Any]]  # argument, builder, allowed, refused
SEEDED: dict[str, Any] = {
    "Shapley": E.Shapley,
    "BayesianShapley": E.BayesianShapley,
    "PermutationShapley": E.PermutationShapley,
    "ShapleyInteractions": E.ShapleyInteractions,
    "LIME": E.LIME,
    "LIME of a table": functools.partial(E.LIME.of_table, ROWS),
    "Smooth": functools.partial(E.Smooth, E.Gradient()),
    "ExpectedGradients": functools.partial(E.ExpectedGradients, ROWS),
}
CHUNKED: dict[str, Any] = {
    **SEEDED,
    "Interactions": E.Interactions,
    "Occlusion": E.Occlusion,
    "IntegratedGradients": E.IntegratedGradients,
}
CASES: dict[str, Case] = {
    "SGD momentum": ("momentum", lambda v: inner.SGD(momentum=v), [0, 1 - LITTLE], [-LITTLE, 1]),
    "SGD decay": ("weight_decay", lambda v: inner.SGD(weight_decay=v), [0], [-LITTLE]),
    "Adam beta1": ("beta1", lambda v: inner.Adam(beta1=v), [0, 1 - LITTLE], [-LITTLE, 1]),
    "Adam beta2": ("beta2", lambda v: inner.Adam(beta2=v), [0, 1 - LITTLE], [-LITTLE, 1]),
    "Truncated": ("last", Truncated, [0], [-1]),
    "FiniteDifference": ("distance", FiniteDifference, [LITTLE], [0]),
    "Balance": ("decay", Balance, [LITTLE, 1], [0, 1 + LITTLE]),
    "MAML lr": ("lr", lambda v: learners.MAML(body(), lr=v), [0], [-LITTLE]),
    "MAML steps": ("steps", lambda v: learners.MAML(body(), steps=v), [0], [-1]),
    "MAML proximal": ("proximal", lambda v: learners.MAML(body(), proximal=v), [0], [-LITTLE]),
    "InContext": ("ways", lambda v: learners.InContext(models.SetTransformer(8, 1, 2), v), [1, 10], [0, 11]),
    "MetaLSTM": ("lr", lambda v: learners.MetaLSTM(body(), lr=v), [LITTLE, 1 - 1e-6], [0, 1]),
    "MatchingNetwork": ("scale", lambda v: learners.MatchingNetwork(body(), 2, scale=v), [LITTLE], [0]),
    "RidgeHead": ("penalty", lambda v: learners.RidgeHead(body(), 2, penalty=v), [LITTLE], [0]),
    "SiameseNetwork": ("margin", lambda v: learners.SiameseNetwork(body(), 2, margin=v), [LITTLE], [0]),
    "LSTMWeight": ("message", lambda v: LSTMWeight(message=v), [2], [1]),
    "SNAIL": ("filters", lambda v: learners.SNAIL(body(), 2, 2, 5, filters=v), [4], [3]),
    "coalitions": ("game", lambda v: coalitions.refuse_many(v, "less"), [12], [13]),
    "BayesianShapley": ("samples", lambda v: E.BayesianShapley(v)(Game(lambda mask: mask.sum(), 4)), [8], [7]),
    "Shapley tolerance": ("tolerance", lambda v: E.Shapley("auto", tolerance=v), [LITTLE], [0]),
    "Shapley": ("samples", lambda v: E.Shapley(v)(Game(lambda mask: mask.sum(), 4)), [6], [5]),
    "quadrature": ("samples", lambda v: quadrature.design([0, 0, 1, 1], v), [6], [5]),
    "quadrature, few players": ("samples", lambda v: quadrature.design([0], v), [2], [1]),
    "KernelSHAP": ("samples", lambda v: coalitions.kernel(4, v), [6], [2]),
    **{f"{name} seed": ("seed", lambda v, m=make: m(seed=v), [0], [-1, 0.5]) for name, make in SEEDED.items()},
    **{f"{name} chunk": ("chunk_size", lambda v, m=make: m(chunk_size=v), [1], [0]) for name, make in CHUNKED.items()},
    "over": ("chunk_size", lambda v: E.Gradient().over(torch.sum, ROWS, v), [None, 1], [0]),
    "BayesianShapley groups": ("groups", lambda v: E.BayesianShapley(groups=v), [None, [0, 1]], [3]),
    "LIME width": ("width", lambda v: E.LIME(width=v), [LITTLE], [0]),
    "LIME penalty": ("penalty", lambda v: E.LIME(penalty=v), [0], [-LITTLE]),
    "Smooth": ("samples", lambda v: E.Smooth(E.Gradient(), v), [2, 4], [0, 1, 3]),
    "superpixels": ("count", lambda v: E.superpixels(torch.rand(1, 2, 3), v), [1, 6], [0, 7]),
    "SurrogateTree rows": ("rows", lambda v: E.SurrogateTree(X, rows=v), [0], [-1]),
    "SurrogateTree cost": ("cost", lambda v: E.SurrogateTree(X, cost=v), [0], [-LITTLE]),
    "Anchors precision": ("precision", lambda v: E.Anchors(X, precision=v), [LITTLE, 1 - LITTLE], [0, 1]),
    "Anchors confidence": ("confidence", lambda v: E.Anchors(X, confidence=v), [LITTLE, 1 - LITTLE], [0, 1]),
    "Anchors epsilon": ("epsilon", lambda v: E.Anchors(X, epsilon=v), [LITTLE, 1 - LITTLE], [0, 1]),
    "Anchors bins": ("bins", lambda v: E.Anchors(X, bins=v), [2], [1]),
    "Counterfactual sparsity": ("sparsity", lambda v: E.Counterfactual(X, sparsity=v), [0], [-LITTLE]),
    "Counterfactual grid": ("grid", lambda v: E.Counterfactual(X, grid=v), [2], [1]),
    "Counterfactual rounds": ("rounds", lambda v: E.Counterfactual(X, rounds=v), [0], [-1]),
    "Counterfactual immutable": ("immutable", lambda v: E.Counterfactual(X, immutable=v), [[0, 1]], [[0, 1, 2]]),
    "Interpreter": ("active", lambda v: Interpreter({"0": 2}, 2, concepts=3, active=v), [1, 3], [0, 4]),
    "Interpreter conciseness": ("conciseness", lambda v: Interpreter({"0": 2}, 2, conciseness=v), [0], [-LITTLE]),
    "AmortisedShapley rank": ("rank", lambda v: AmortisedShapley(players.Columns(3), 2, rank=v), [0], [-1]),
    "AmortisedShapley depth": ("depth", lambda v: AmortisedShapley(players.Columns(3), 2, depth=v), [0], [-1]),
    "AmortisedShapley players": ("players", lambda v: AmortisedShapley(players.Columns(v), 2), [2], [1]),
    "task_map": ("vectors", lambda v: measures.task_map(ROWS[:v]), [3], [2]),
    "PGD radius": ("radius", measures.PGD, [LITTLE], [0]),
    "PGD step": ("step", lambda v: measures.PGD(1.0, step=v), [LITTLE], [0]),
    "PGD bounds": ("bounds", lambda v: measures.PGD(1.0, bounds=v), [(0.0, LITTLE)], [(0.0, 0.0), (1.0, 0.0)]),
    "top_overlap": ("k", lambda v: stability.top_overlap(ROWS[0], ROWS[1], v), [1, 3], [0, 4]),
    "ROAD": ("background", lambda v: road.LinearRegression(ROWS[:v]), [2], [1]),
    "Eval-X": ("m", lambda v: eval_x.most(ROWS, v), [0, 3], [-1, 4]),
    "insertion_deletion": ("steps", curves, [1, 3], [0, 4]),
    "purity": ("neighbours", lambda v: purity(ROWS, LABELS, v), [1, 5], [0, 6]),
    "embedding": ("neighbours", lambda v: seeing.embedding(ROWS, ROWS.flip(0), LABELS, v), [2], [0, 3]),
    "probes penalty": ("penalty", lambda v: seeing.probes({"0": ROWS[None]}, LABELS, 2, penalty=v), [LITTLE], [0]),
    "probes folds": ("folds", lambda v: seeing.probes({"0": ROWS[None]}, LABELS, v), [2, 3], [1, 7]),
    "maximise": ("lr", lambda v: seeing.maximise(torch.sum, ROWS[0], steps=1, lr=v), [LITTLE], [0]),
    "maximise l2": ("l2", lambda v: seeing.maximise(torch.sum, ROWS[0], steps=1, l2=v), [0], [-LITTLE]),
    "shots": ("shots", lambda v: sampling.bounds("shots", v), [1, (1, 1), (1, 2)], [0, (0, 1), (2, 1), (1, 2, 3)]),
    "fractional shots": ("shots", lambda v: sampling.bounds("shots", v), [(1, 9)], [1.5, (1, 1.5), (1,)]),
    "splits": ("splits", sampling.ends, [(1.0, 0, 0), (0.4, 0.3, 0.3), (0.1, 0, 0)], [(0.5, 0.5, 0.1), (0, 0, 0)]),
    "fractions": ("splits", sampling.ends, [(0, 0, 1.0)], [(1.1, -0.1, 0), (0.5, 0.5), (0.5, 0.2, 0.2, 0.1)]),
    "Arrays": ("(ways|y)", lambda v: arrays(ways=v).batch(0, 1), [2, 4], [1, 5]),
    "Arrays examples": ("y", lambda v: arrays(shots=v).batch(0, 1), [4, (1, 4)], [5]),  # 5 of each class, 1 a query
    "Arrays queries": ("(queries|y)", lambda v: arrays(queries=v).batch(0, 1), [1, 4], [0, 5]),
    "Planted features": ("features", lambda v: tasks.Planted(features=v), [11], [10]),
    "Planted sharpness": ("sharpness", lambda v: tasks.Planted(sharpness=v), [LITTLE, math.inf], [0]),
    "Planted labels": ("mislabelled", lambda v: tasks.Planted(shots=(3, 5), mislabelled=v), [0, 3], [-1, 4]),
    "PlantedStrokes size": ("size", lambda v: tasks.PlantedStrokes(size=v), [8], [7]),
    "PlantedStrokes jitter": ("jitter", lambda v: tasks.PlantedStrokes(size=8, jitter=v), [0, 2], [-LITTLE, 2.001]),
    "PlantedStrokes width": ("width", lambda v: tasks.PlantedStrokes(size=8, width=v), [LITTLE, 2], [0, 2.001]),
    "PlantedStrokes": ("distractors", lambda v: tasks.PlantedStrokes(distractors=v), [0], [-1]),
    "DrawnCharacters hidden": ("hidden", lambda v: tasks.DrawnCharacters(hidden=v), [0, 1], [-LITTLE, 1.001]),
    "DrawnCharacters": ("distortion", lambda v: tasks.DrawnCharacters(distortion=v), [0], [-LITTLE]),
    "XAITris": ("alpha", lambda v: tasks.XAITris(alpha=v), [0, 1], [-LITTLE, 1.001]),
    "GaussianProcesses": ("span", lambda v: tasks.GaussianProcesses(span=v), [(0.0, LITTLE)], [(1.0, 1.0), (1.0, 0.0)]),
    "GaussianProcesses noise": ("noise", lambda v: tasks.GaussianProcesses(noise=v), [LITTLE], [0]),
    "Mislabelled": ("mislabelled", lambda v: tasks.Mislabelled(arrays(shots=2), v).batch(0, 1), [1, 4], [5]),
    "WithNoise": ("shape", lambda v: tasks.WithNoise(arrays(), v), [(1,), (1, 2)], [(), (0,), (2, 0)]),
    "MLP": ("sizes", lambda v: models.MLP(*v), [(1, 1)], [(), (1,), (1, 0)]),
    "MetaNetworks": ("scale", lambda v: learners.MetaNetwork(body(), body(), scale=v), [LITTLE], [0]),
    "ExpectedGradients": ("background", lambda v: E.ExpectedGradients(ROWS[:v]), [1], [0]),
    "ExpectedGradients samples": ("samples", lambda v: E.ExpectedGradients(ROWS, samples=v), [None, 1], [0]),
    "players": ("groups", lambda v: players.Players(torch.tensor(v)), [[0, 0], [1, 0]], [[], [0, 2], [-1, 0], [0.5]]),
    "GaussianProcesses scale": ("scale", lambda v: tasks.GaussianProcesses(scale=v), [LITTLE], [0]),
    "Joint": ("candour", lambda v: Joint(learners.MAML(body()), {"a": shapley()}, candour=v), [0, 1], [-LITTLE, 1.001]),
    "EvolutionStrategies seed": ("seed", lambda v: EvolutionStrategies(seed=v), [0], [-1]),
    "EvolutionStrategies count": ("count", EvolutionStrategies, [1], [0]),
    "EvolutionStrategies": ("scale", lambda v: EvolutionStrategies(scale=v), [LITTLE], [0]),
    "training lr": ("lr", lambda v: Settings(3, 1, lr=v), [0], [-LITTLE]),
    "training clip": ("clip", lambda v: Settings(3, 1, clip=v), [None, LITTLE], [0]),
    "training ema": ("ema", lambda v: Settings(3, 1, ema=v), [None, LITTLE, 1 - LITTLE], [0, 1]),
    "training warmup": ("warmup", lambda v: Settings(3, 1, warmup=v), [0, 2], [-1, 3]),
    "training chunks": ("chunk_size", lambda v: Settings(3, 1, chunk_size=v), [None, 1], [0]),
    "training threads": ("threads", lambda v: Settings(3, 1, threads=v), [1, 2], [0]),
    "training rows": ("train_rows", lambda v: split(OUTCOME, v, 100, 0), [2, 19], [1, 20]),
    "SoftDecisionTree": ("sharpness", lambda v: SoftDecisionTree(3, 2, sharpness=v), [LITTLE], [0]),
    "VGG": ("size", lambda v: models.VGG(widths=(2, 2), size=v), [4], [3]),
    "ResNet12": ("widths", lambda v: models.ResNet12(widths=v), [(1, 1)], [(0, 1), ()]),
}  # fmt: skip


def shapley() -> AmortisedShapley:
    return AmortisedShapley(players.Columns(3), 2)


@pytest.mark.parametrize("case", CASES)
def test_a_range_ends_where_it_is_said_to_end(case: str) -> None:
    name, build, allowed, refused = CASES[case]
    for value in allowed:
        build(value)
    for value in refused:
        with pytest.raises(MapstoError, match=rf"^{name}\b.*: got"):
            build(value)
