"""Bodies that are not plain networks of floats are learned too: tokens, recurrence, attention, ties, buffers."""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call

import mapsto as mt
from mapsto.adaptation import batching
from mapsto.episodes import Episode, Examples, unstack
from mapsto.errors import MapstoError
from mapsto.learners import MAML, Fixed
from mapsto.training.estimators import EvolutionStrategies, ForwardMode, Random
from mapsto.training.validation import ValidationLoss


def tokens(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of tokens whose class is the token that all but one of their places hold."""
    y = np.arange(count) % 6
    x = np.repeat(y[:, None], 5, 1)
    x[:, 0] = np.random.default_rng(0).integers(0, 6, count)
    return x, y


class Bag(nn.Module):
    """The mean of learned vectors of tokens, then a layer."""

    def __init__(self, ways: int = 2):
        super().__init__()
        self.embedding, self.head = nn.Embedding(6, 8), nn.Linear(8, ways)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x).mean(1))


@pytest.mark.parametrize(("x", "dtype"), [
    (torch.randint(0, 6, (4, 5)), torch.float32),
    (torch.zeros(4, 5, dtype=torch.uint8), torch.float32),
    (torch.zeros(4, 5, dtype=torch.float64), torch.float64),
])  # fmt: skip
def test_weights_are_floats_whatever_the_inputs_are(x: Tensor, dtype: torch.dtype) -> None:
    w = mt.examples(x, torch.arange(4)).w
    assert w.dtype == dtype and w.tolist() == [0.25] * 4


def test_tokens_are_learned_from() -> None:
    torch.manual_seed(0)
    tasks = mt.tasks.Arrays(*tokens(), ways=2, shots=2, queries=4, splits=(0.4, 0.2, 0.4))
    assert tasks.batch(0, 2).support.x.dtype == torch.int64
    learner = MAML(Bag(), lr=1.0, steps=3)
    *_, step = mt.train(learner, tasks, steps=15, batch=4, lr=0.05)
    assert step.metrics["accuracy"] > 0.9
    evaluation: Any = mt.evaluate(learner, tasks, episodes=10)
    assert evaluation.accuracy.mean > 0.9


def test_pixels_become_floats() -> None:
    x, y = tokens()
    for kind in (np.uint8, np.int32, np.float64, bool):
        assert mt.tasks.Arrays(x.astype(kind), y, ways=2, queries=2).batch(0, 1).query.x.dtype == torch.float32


def test_whole_numbers_for_a_body_of_floats_are_named() -> None:
    tasks = mt.tasks.Arrays(*tokens(), ways=2, queries=2)
    with pytest.raises(MapstoError, match=r"^tasks: .*int64.*floating-point"):
        mt.evaluate(MAML(nn.Linear(5, 2)), tasks, episodes=1)


class Broken(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("the oven is cold, " + "and so " * 60 + "nothing is baked")


def test_an_error_that_is_not_about_sizes_stays_whole_and_names_its_layer() -> None:
    body = nn.Sequential(nn.Linear(1, 4), Broken(), nn.Linear(4, 1))
    with pytest.raises(MapstoError, match=r"^tasks: .*nothing is baked.*'body.1'.*Broken") as refused:
        mt.evaluate(MAML(body, loss="mse"), mt.tasks.Sinusoids(), episodes=1)
    assert "ways" not in str(refused.value)


class Sequence(nn.Module):
    """A recurrent layer over the places of a row, then a layer on its last state."""

    def __init__(self, kind: type[nn.RNNBase]):
        super().__init__()
        self.layer, self.head = kind(1, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x[..., None])[0][:, -1])


class Attention(nn.Module):
    """Self-attention over the places of a row, then a layer on their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.head = nn.Linear(1, 4), nn.Linear(4, 1)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, activation=nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.lift(x[..., None])).mean(1))


class Writing(nn.Module):
    """A layer that writes the mean of its outputs to a buffer in place, and reads it."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).tanh()
        self.mean.mul_(0.5).add_(y.mean(0))
        return y - self.mean


def _spectral() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 4)), nn.Tanh(), nn.Linear(4, 1))


BODIES: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: Sequence(nn.LSTM),
    "GRU": lambda: Sequence(nn.GRU),
    "RNN": lambda: Sequence(nn.RNN),
    "attention": Attention,
    "writing": Writing,
    "spectral norm": _spectral,
}


def lines(tasks: int = 3, dtype: torch.dtype = torch.float64) -> Episode:
    """Return a batch of tasks: rows of two numbers with a target each."""
    x = torch.randn(tasks, 8, 2, dtype=dtype, generator=torch.Generator().manual_seed(0))
    y = x.sum(-1, keepdim=True).sin() * torch.arange(1, tasks + 1, dtype=dtype)[:, None, None]
    parts = (Examples(x[:, i::2], y[:, i::2], torch.full((tasks, 4), 0.25, dtype=dtype)) for i in range(2))
    return Episode(*parts)


class Lines(mt.tasks.Tasks):
    """The tasks of `lines`, in single precision."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        return lines(count, torch.float32)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.filterwarnings("ignore:.*nested_tensor is turned off")
def test_the_meta_gradient_of_any_body_is_that_of_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    learner = MAML(BODIES[name]().double(), loss="mse", lr=0.3, steps=2).eval()  # fixes the spectral norm's vectors
    params, episodes = dict(learner.named_parameters()), lines()
    slopes, _ = mt.training.meta_gradient(learner)(params, episodes)
    direction = {key: torch.randn_like(p) for key, p in params.items()}
    loss = [
        float(torch.stack([functional_call(learner, {k: p + side * 1e-5 * direction[k] for k, p in params.items()},
                                           (task,))[0] for task in unstack(episodes)]).mean().detach())
        for side in (1, -1)
    ]  # fmt: skip
    expected = (loss[0] - loss[1]) / 2e-5
    assert abs(expected) > 1e-3
    assert float(sum((slopes[k] * direction[k]).sum() for k in params)) == pytest.approx(expected, rel=1e-6)


def test_recurrent_layers_have_the_same_meta_gradient_in_single_precision() -> None:
    torch.manual_seed(0)
    learner, episodes = MAML(BODIES["LSTM"](), loss="mse", lr=0.3, steps=2), lines()
    single, _ = mt.training.meta_gradient(learner)(dict(learner.named_parameters()), episodes.to(torch.float32))
    double, _ = mt.training.meta_gradient(learner.double())(dict(learner.named_parameters()), episodes)
    torch.testing.assert_close(single, {key: g.float() for key, g in double.items()})


@pytest.mark.parametrize("name", BODIES)
def test_any_body_is_trained_validated_and_evaluated(name: str) -> None:
    learner = MAML(BODIES[name](), loss="mse", lr=0.1)
    before = {key: buffer.clone() for key, buffer in learner.named_buffers()}
    judge = ValidationLoss(Lines(), episodes=2, batch=2)
    *_, step = mt.train(learner, Lines(), steps=2, batch=2, validation=judge, validate_every=1)
    scores: list[Any] = [mt.evaluate(learner, Lines(), episodes=2, vectorise=way) for way in (None, False)]
    assert scores[0].mse.mean == pytest.approx(scores[1].mse.mean) and np.isfinite(step.metrics["validation"])
    assert all(torch.equal(buffer, before[key]) for key, buffer in learner.named_buffers())


def test_vmap_may_be_demanded_of_an_evaluation() -> None:
    with pytest.raises(MapstoError, match=r"^tasks: "):
        mt.evaluate(MAML(Writing(), loss="mse"), Lines(), episodes=2, vectorise=True)


def test_an_error_of_the_learner_is_never_taken_for_one_of_vmap() -> None:
    body = nn.Sequential(nn.Linear(2, 4), Broken()).double()
    with pytest.raises(ValueError, match="the oven is cold"):
        mt.training.meta_gradient(MAML(body, loss="mse"))(dict(body.named_parameters(prefix="body")), lines())


@pytest.mark.parametrize("estimator", [ForwardMode(2), EvolutionStrategies(2)])
def test_estimators_by_directions_refuse_recurrent_layers(estimator: Random) -> None:
    with pytest.raises(MapstoError, match=r"^estimator: "):
        next(mt.train(MAML(Sequence(nn.LSTM), loss="mse"), Lines(), steps=1, batch=1, estimator=estimator))


def test_several_threads_and_the_loop_agree_about_attention() -> None:
    learner, episodes = MAML(Attention().double(), loss="mse", lr=0.3), lines(4)
    params = dict(learner.named_parameters())
    one, _ = mt.training.meta_gradient(learner)(params, episodes)
    two, _ = mt.training.meta_gradient(learner, chunk_size=1, threads=2)(params, episodes)
    torch.testing.assert_close(one, two)
    assert torch.backends.cuda.flash_sdp_enabled()


def test_attention_in_an_inner_loop_is_computed_for_all_tasks_at_once() -> None:
    learner, episodes = MAML(Attention().double(), loss="mse", lr=0.3), lines()
    with batching.kernels_for(learner):
        assert batching.vectorises(learner) and batching.maps(learner.loss, episodes)
    for name in ("LSTM", "writing", "spectral norm"):
        other = MAML(BODIES[name]().double(), loss="mse")
        assert not (batching.vectorises(other) and batching.maps(other.loss, episodes))


@dataclass
class Answer:
    """An output as transformers return it."""

    logits: Tensor
    hidden: Tensor
    loss: None = None


class Pair(NamedTuple):
    logits: Tensor
    hidden: Tensor


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "dictionary": lambda scores, hidden: {"hidden": hidden, "logits": scores, "loss": None},
    "dataclass": lambda scores, hidden: Answer(scores, hidden),
    "ordered": lambda scores, hidden: OrderedDict(hidden=hidden, logits=scores),
    "named tuple": lambda scores, hidden: Pair(scores, hidden),
    "tuple": lambda scores, hidden: (scores, hidden[:, None]),
    "only tensor": lambda scores, hidden: {"scores": scores, "loss": None},
}


class Wrapped(nn.Module):
    """A layer, optionally below a batch norm, that returns its scores in another form."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any] = lambda scores, hidden: scores, norm: bool = False):
        super().__init__()
        self.form, self.norm, self.layer = (
            form,
            nn.BatchNorm1d(2, track_running_stats=False) if norm else nn.Identity(),
            nn.Linear(2, 1),
        )

    def forward(self, x: Tensor) -> Any:
        return self.form(self.layer(self.norm(x)), x)


def losses(kind: type, *arguments: Any, **options: Any) -> list[float]:
    torch.manual_seed(0)
    learner = kind(Wrapped(*arguments), loss="mse", **options)
    return [step.metrics["loss"] for step in mt.train(learner, Lines(), 2, 2)]


@pytest.mark.parametrize("form", FORMS)
def test_a_body_may_return_its_scores_in_a_dictionary_or_a_tuple(form: str) -> None:
    for kind in (MAML, Fixed):
        assert losses(kind, FORMS[form]) == losses(kind)
    assert losses(MAML, FORMS[form], True) == losses(MAML, lambda scores, hidden: scores, True)


@pytest.mark.parametrize(
    ("form", "names"),
    [(lambda scores, hidden: {"a": scores, "b": hidden}, "dict of a, b"),
     (lambda scores, hidden: (scores, scores), "tuple"),
     (lambda scores, hidden: {"loss": None}, "dict of loss"), (lambda scores, hidden: [scores], "list")],
)  # fmt: skip
def test_a_body_whose_scores_are_not_clear_is_refused(form: Callable[[Tensor, Tensor], Any], names: str) -> None:
    with pytest.raises(MapstoError, match=rf"^body: .*{names}"):
        mt.evaluate(MAML(Wrapped(form), loss="mse"), Lines(), 2)


class Tied(nn.Module):
    """A layer whose weight is also that of the last layer; the last layer comes first in the order of registration."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.layer = nn.Linear(2, 2), nn.Linear(2, 2)
        self.head.weight = self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).tanh()).sum(-1, keepdim=True)


def tied(seed: int = 0) -> MAML:
    torch.manual_seed(seed)
    return MAML(Tied(), loss="mse", lr=0.1)


def test_tied_parameters_are_saved_once_and_tied_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 4, "batch": 2, "ema": 0.5, "checkpoint_every": 1}
    whole = tied()
    list(mt.train(whole, Lines(), run=tmp_path / "whole", **options))
    stopped = mt.train(tied(), Lines(), run=tmp_path / "run", **options)
    next(stopped)
    stopped.close()
    resumed = tied(1)
    list(mt.train(resumed, Lines(), run=tmp_path / "run", resume=True, **options))
    loaded = tied(2)
    mt.training.load_weights(loaded, tmp_path / "run")
    for learner in (resumed, loaded):
        assert learner.body.head.weight is learner.body.layer.weight
        assert all(torch.equal(a, b) for a, b in zip(learner.parameters(), whole.parameters(), strict=True))
    assert "body.layer.weight" not in load_file(tmp_path / "run" / "weights.safetensors")


def test_tied_weights_do_not_fit_a_body_without_the_tie(tmp_path: Path) -> None:
    list(mt.train(tied(), Lines(), steps=1, batch=1, run=tmp_path))
    body = Tied()
    body.layer.weight = nn.Parameter(torch.zeros(2, 2))
    with pytest.raises(MapstoError, match=r"^weights: .*layer\.weight"):
        mt.training.load_weights(MAML(body, loss="mse"), tmp_path)


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_a_wrong_second_derivative_of_torch_is_refused(wrap: Callable[[nn.Module], nn.Module]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        body = nn.Sequential(wrap(nn.Linear(2, 4)), nn.Tanh(), nn.Linear(4, 1))
    with pytest.raises(MapstoError, match=r"^learner: .*weight_norm.*first_order=True"):
        next(mt.train(MAML(body, loss="mse"), Lines(), steps=1, batch=1))
    next(mt.train(MAML(body, loss="mse", first_order=True), Lines(), steps=1, batch=1))
