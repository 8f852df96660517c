"""The same seed gives the same tasks, parameters and answers in every version and on every machine, up to rounding.

`python tests/test_same_numbers.py` writes the numbers anew. Do so only if they are meant to change, and say it in the
changelog. The signatures of the public names are pinned in the same way.
"""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, get_origin

import pytest
import torch
from test_learners import LEARNERS
from test_public_api import PUBLIC
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import mapsto as mt
from mapsto.episodes import Episode, Examples, unstack
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.joint import SelfExplaining
from mapsto.learners import NP, InContext
from mapsto.models import MLP, KernelAttention, SetTransformer
from mapsto.tasks import tables as generated
from mapsto.tasks.prior import outcomes
from mapsto.tasks.prior.dice import Dice
from mapsto.tasks.prior.rules import RULES
from mapsto.tasks.source import stream

FILE = Path(__file__).with_suffix(".json")


def _imagined() -> mt.tasks.Tasks:
    torch.manual_seed(0)
    return mt.tasks.Imagined(mt.tasks.Sinusoids(), NP(nn.Linear(2, 4), nn.Linear(3, 2)).eval().requires_grad_(False))


_SENTENCES = ["my naïve card", "Lost card!", "what time is it", "the time, 5 p.m."], ["card", "card", "time", "time"]
SOURCES: dict[str, Callable[[], mt.tasks.Tasks]] = {
    "Sinusoids": mt.tasks.Sinusoids,
    "Linear": mt.tasks.Linear,
    "Logistic": mt.tasks.Logistic,
    "Logistic, curved": lambda: mt.tasks.Logistic(curvature=1.0),
    "LinearStream": mt.tasks.LinearStream,
    "GaussianProcesses": mt.tasks.GaussianProcesses,
    "Planted syn4": lambda: mt.tasks.Planted("syn4"),
    "Planted syn5": lambda: mt.tasks.Planted("syn5", mislabelled=3, spurious=True),
    "DrawnCharacters": lambda: mt.tasks.DrawnCharacters(hidden=0.5),
    "PlantedStrokes": mt.tasks.PlantedStrokes,
    "XAITris": lambda: mt.tasks.XAITris("xor", "correlated"),
    "WithNoise": lambda: mt.tasks.WithNoise(mt.tasks.Sinusoids(), (3,)),
    "Mislabelled": lambda: mt.tasks.Mislabelled(mt.tasks.Logistic(), 2),
    "Imagined": _imagined,
    "Texts": lambda: mt.tasks.Texts(*_SENTENCES, ways=2, shots=1, queries=1, splits=(1, 0, 0), hidden=0.5),
}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "MLP": lambda: MLP(2, 3, 1),
    "VGG": lambda: mt.models.VGG(widths=(2, 3, 4), outputs=3),
    "AlexNet": lambda: mt.models.AlexNet(hidden=2, width=4),
    "Conv3": lambda: mt.models.Conv3(hidden=2),
    "Conv4": lambda: mt.models.Conv4(hidden=2, outputs=3),
    "ResNet12": lambda: mt.models.ResNet12(widths=(1, 2, 3, 4)),
    "Recurrent": lambda: mt.models.Recurrent(2, 4, 3),
    "KernelAttention": lambda: KernelAttention(width=8, depth=2, heads=2),
    "MomentNetwork": lambda: mt.models.MomentNetwork(2),
    "NewtonNetwork": lambda: mt.models.NewtonNetwork(2, 2),
    "SetTransformer": lambda: mt.models.SetTransformer(width=8, depth=1, heads=2),
    "SoftDecisionTree": lambda: mt.models.SoftDecisionTree(3, 2),
    "TextEncoder": lambda: mt.models.TextEncoder(buckets=16, width=4, sketch=8),
}


def summary(tree: Any) -> list[float]:
    """Return the size of each tensor of a tree, its mean, and its mean product with fixed numbers from −1 to 1."""
    return [
        round(number, 6) for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor) for number in _three(leaf)
    ]


def _three(leaf: Tensor) -> tuple[float, float, float]:
    numbers = leaf.detach().double().flatten().nan_to_num(-7.0)
    places = torch.arange(len(numbers), dtype=torch.float64).mul(0.7).cos()
    return float(len(numbers)), float(numbers.mean()), float((numbers * places).mean())


def of_source(name: str) -> list[float]:
    return summary(SOURCES[name]().batch(3, 4, seed=5))


def of_model(name: str) -> list[float]:
    torch.manual_seed(0)
    return summary(dict(MODELS[name]().state_dict()))


def of_learner(name: str) -> list[float]:
    torch.manual_seed(0)
    row = LEARNERS[name]
    learner, episode = row.make().eval(), unstack(row.batch())[0]
    return summary(learner.predict(learner.adapt_to(episode), episode.query.x))


def of_prior(name: str) -> list[float]:
    """Return one kind of generated table, or one part of it."""
    dice = Dice(torch.Generator().manual_seed(5), 6, 24, 5, 3)
    if name in ("graph", "centres"):
        return summary(getattr(generated, f"_from_{name}")(dice, False))
    if name == "numbers":
        return summary(outcomes.numbers(dice, dice.randn(6, 24)))
    if name == "ties":
        return summary(outcomes.classes(dice, dice.randint(0, 4, 6, 24, 1).float()))
    if name == "hidden":
        return summary(generated._episode(dice, dice.randn(6, 24, 5), dice.randint(0, 3, 6, 24), 16))
    rule = {rule.__name__: rule for rule in RULES}[name]
    scores = rule(dice, dice.randn(6, 24, 5)).abs()  # the sign of an eigenvector is arbitrary
    return summary(scores) if name == "contrast" else summary((scores, generated._from_rule(rule, dice, False)))


def of_mapping(name: str) -> list[float]:
    """Return the joint loss of a small mapping and of its parts."""
    torch.manual_seed(0)
    ways, loss = (1, "mse") if name == "numbers" else (3, "cross_entropy")
    mapping = SelfExplaining(InContext(SetTransformer(8, 1, 2), ways, 2, loss), PairwiseAttribution(8))
    noise = torch.linspace(0, 0.9, 64).view(2, 8, 4)
    x = noise[..., :3] * 4 - 2
    y = noise[..., :1].sin() if name == "numbers" else (torch.arange(8) % 3).expand(2, 8)
    part = Examples(x, y, torch.full((2, 8), 1 / 8))
    return summary(mapping.batch_loss(Episode(part, part._replace(x=x.flip(1)), noise)))


def of_sizes(name: str) -> list[float]:
    """Return the sizes of twelve batches of generated tables; their numbers hang on the signs of eigenvectors."""
    tables = mt.tasks.Tables(ways=(2, 4)) if name == "classes" else mt.tasks.Tables(ways=(1, 1))
    batches = [tables.batch(i, 2 if i else 40) for i in range(12)]
    return [float(n) for batch in batches for n in (*batch.support.x.shape, *batch.query.x.shape)]


def of_stream(name: str) -> list[float]:
    return [float(stream(seed, 3)) for seed in (0, 7, -7, 2**32 + 1, -(2**70))]


def signatures() -> dict[str, list[str]]:
    """Return the arguments and defaults of public functions, and of the classes that a configuration can name."""
    public = {f"{room}.{name}": getattr(attrgetter(room)(mt), name) for room, name in PUBLIC}
    parts = {f"{kind.__module__.removeprefix('mapsto.')}.{kind.__name__}": kind for kind in _classes()}
    members = {**public, **parts}
    return {name: _arguments(member) for name, member in members.items() if get_origin(member) is None}


def _classes() -> Iterator[type]:
    for room in ("adaptation", "explainers", "joint", "learners", "models", "tasks", "training"):
        package = importlib.import_module(f"mapsto.{room}")
        files = pkgutil.walk_packages(getattr(package, "__path__", []), f"mapsto.{room}.")
        for module in (package, *(importlib.import_module(file.name) for file in files)):
            kinds = inspect.getmembers(module, inspect.isclass)
            yield from (kind for name, kind in kinds if kind.__module__ == module.__name__ and name[0] != "_")


def _arguments(member: Callable) -> list[str]:
    return [
        argument.name if argument.default is argument.empty else f"{argument.name}={_default(argument.default)}"
        for argument in inspect.signature(member).parameters.values()
    ]


def _default(value: Any) -> str:
    if isinstance(value, Path):
        return value.name
    return value.__name__ if inspect.isfunction(value) else re.sub(r" at 0x[0-9a-f]+", "", repr(value))


KINDS: dict[str, tuple[Callable[[str], list[float]], list[str]]] = {
    "source": (of_source, list(SOURCES)),
    "model": (of_model, list(MODELS)),
    "learner": (of_learner, list(LEARNERS)),
    "prior": (of_prior, ["graph", "centres", "numbers", "ties", "hidden", *(rule.__name__ for rule in RULES)]),
    "mapping": (of_mapping, ["classes", "numbers"]),
    "sizes": (of_sizes, ["classes", "numbers"]),
    "stream": (of_stream, ["seeds"]),
}
CASES = [(kind, name) for kind, (_, names) in KINDS.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_numbers_are_the_same(kind: str, name: str) -> None:
    assert KINDS[kind][0](name) == pytest.approx(json.loads(FILE.read_text())[kind][name], rel=1e-3, abs=1e-4)


def test_the_signatures_are_the_same() -> None:
    pinned = json.loads(FILE.read_text())["signature"]
    assert signatures() == pinned


def _lines(part: dict[str, list]) -> str:
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(values, ensure_ascii=False)}" for name, values in part.items())


if __name__ == "__main__":
    parts = {kind: {name: of(name) for name in names} for kind, (of, names) in KINDS.items()}
    parts["signature"] = signatures()
    FILE.write_text("{\n" + ",\n".join(f'"{kind}": {{\n{_lines(part)}\n}}' for kind, part in parts.items()) + "\n}\n")
