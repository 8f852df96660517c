"""The outer optimizers: each is what its name says, alone and together, and goes on where it stopped."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mapsto.errors import MapstoError
from mapsto.learners import MAML
from mapsto.models import MLP
from mapsto.tasks import Sinusoids
from mapsto.training import train
from mapsto.training.optimizers import optimizer
from mapsto.training.settings import Settings

NAMES = pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
SHAPES = {"layer.weight": (6, 10), "layer.bias": (10,), "table": (4, 6), "cube.weight": (2, 3, 4), "norm.weight": (6,)}


def params() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator).requires_grad_() for key, shape in SHAPES.items()}


def gradients(step: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return {key: torch.randn(shape, generator=generator) for key, shape in SHAPES.items()}


def stepped(of, mine: dict[str, Tensor], first: int, last: int, lr: float = 0.1) -> dict[str, Tensor]:
    """Take steps `first` … `last − 1`, each at a learning rate of its own; return the parameters."""
    for step in range(first, last):
        for key, grad in gradients(step).items():
            mine[key].grad = grad
        of.step(lr / (1 + step))
    assert all(p.grad is None for p in mine.values())
    return {key: p.detach().clone() for key, p in mine.items()}


def together(name: str, steps: int, decay: float = 0.0) -> dict[str, Tensor]:
    mine = params()
    return stepped(optimizer(name, mine, decay), mine, 0, steps)


def theirs(kind: type[torch.optim.Optimizer], steps: int, decay: float, **options) -> dict[str, Tensor]:
    """A plain loop with an optimizer of torch."""
    mine = params()
    of = kind(mine.values(), lr=0.1, weight_decay=decay, **options)
    for step in range(steps):
        for key, grad in gradients(step).items():
            mine[key].grad = grad
        of.param_groups[0]["lr"] = 0.1 / (1 + step)
        of.step()
    return mine


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    for key in a:
        torch.testing.assert_close(a[key], b[key].detach(), rtol=1e-5, atol=1e-6)


@NAMES
def test_every_parameter_moves(name: str) -> None:
    before, after = params(), together(name, 1)
    assert all((after[key] - before[key]).abs().min() > 0 for key in before)


def test_sgd_is_a_step_along_the_gradient() -> None:
    expected = {key: p - 0.1 * gradients(0)[key] for key, p in params().items()}
    same(together("sgd", 1), expected)
    with pytest.raises(AssertionError):
        same(together("adamw", 1), expected)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_is_torchs(decay: float) -> None:
    same(together("adamw", 4, decay), theirs(torch.optim.AdamW, 4, decay))
    with pytest.raises(AssertionError):  # mutant: decay within the gradient
        same(together("adamw", 4, 0.3), theirs(torch.optim.Adam, 4, 0.3))


def test_muons_steps_of_matrices_are_orthogonal_and_of_adamws_size() -> None:
    before, after = params(), together("muon", 1)
    change = after["layer.weight"] - before["layer.weight"].detach()
    values, raw = (torch.linalg.svdvals(m) for m in (change, gradients(0)["layer.weight"]))
    assert raw.max() / raw.min() > 4 and values.max() / values.min() < 2
    assert 0.7 < change.square().mean().sqrt() / (0.2 * 0.1) < 1.3
    assert (change * gradients(0)["layer.weight"]).sum() < 0
    adam = together("adamw", 1)["layer.weight"] - before["layer.weight"].detach()
    assert torch.linalg.svdvals(adam).max() / torch.linalg.svdvals(adam).min() > 2  # mutant


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_what_is_no_matrix_of_a_layer_gets_adamw(decay: float) -> None:
    got, expected = together("muon", 4, decay), theirs(torch.optim.AdamW, 4, decay)
    others = [key for key in SHAPES if key != "layer.weight"]
    same({key: got[key] for key in others}, {key: expected[key] for key in others})
    assert (got["layer.weight"] - expected["layer.weight"]).abs().max() > 0.01


@NAMES
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_state_goes_on_to_the_same_numbers(name: str, decay: float) -> None:
    whole, first = together(name, 6, decay), params()
    of = optimizer(name, first, decay)
    stepped(of, first, 0, 3)
    kept = {i: {slot: value.clone() for slot, value in slots.items()} for i, slots in of.state().items()}
    second = {key: p.detach().clone().requires_grad_() for key, p in first.items()}
    again = optimizer(name, second, decay)
    again.load(kept)
    resumed = stepped(again, second, 3, 6)
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    third = {key: p.detach().clone().requires_grad_() for key, p in first.items()}
    if name != "sgd":  # mutant: what is kept is forgotten
        forgotten = stepped(optimizer(name, third, decay), third, 3, 6)
        assert not any(torch.equal(forgotten[key], whole[key]) for key in whole)


def test_states_are_numbered_through() -> None:
    mine = params()
    of = optimizer("muon", mine, 0.0)
    stepped(of, mine, 0, 1)
    assert sorted(of.state()) == [0, 1, 2, 3, 4]
    assert [set(of.state()[i]) for i in (0, 4)] == [{"step", "exp_avg", "exp_avg_sq"}, {"momentum_buffer"}]


@NAMES
def test_a_resumed_training_is_one_that_was_never_stopped(tmp_path: Path, name: str) -> None:
    def learner(seed: int) -> MAML:
        torch.manual_seed(seed)
        return MAML(MLP(1, 8, 1, activation="tanh"), loss="mse", lr=0.1, steps=1)

    arguments = dict(steps=6, batch=2, lr=0.02, seed=5, clip=1.0, weight_decay=0.1, optimizer=name, checkpoint_every=2)
    waves, whole = Sinusoids(shots=4, queries=3), learner(0)
    list(train(whole, waves, run=tmp_path / "whole", **arguments))
    steps = train(learner(0), waves, run=tmp_path / "cut", **arguments)
    for _ in range(3):
        next(steps)
    killed = tmp_path / "killed"  # what `kill -9` leaves: the checkpoint of step 2
    killed.mkdir()
    for file in (tmp_path / "cut").iterdir():
        (killed / file.name).write_bytes(file.read_bytes())
    steps.close()
    for run, first in ((tmp_path / "cut", 4), (killed, 3)):
        resumed = learner(1)  # its weights come from the checkpoint
        assert [step.step for step in train(resumed, waves, run=run, resume=True, **arguments)] == list(range(first, 7))
        for key, tensor in whole.state_dict().items():
            assert torch.equal(resumed.state_dict()[key], tensor)
    with pytest.raises(MapstoError, match="optimizer"):
        other = {"adamw": "muon", "muon": "sgd", "sgd": "adamw"}[name]
        next(train(learner(1), waves, run=killed, resume=True, **arguments | {"optimizer": other, "steps": 8}))


def test_an_unknown_name_is_refused(unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^optimizer: "):
        Settings(steps=1, batch=1, optimizer="adam")  # type: ignore[arg-type]
