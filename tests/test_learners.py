"""The laws that every learner keeps, one row a learner, and for every law a learner that breaks it."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value
from torch.utils import _pytree as pytree

from mapsto.adaptation import losses
from mapsto.adaptation.differentiation import Implicit, Reverse
from mapsto.episodes import Episode, Examples, State, examples, over_tasks, to, unstack
from mapsto.learners import (
    ANML,
    ANP,
    CNP,
    DKT,
    MAML,
    NP,
    SNAIL,
    VSML,
    Fixed,
    Hypernetwork,
    InContext,
    LearnedOptimizer,
    Learner,
    MatchingNetwork,
    MemoryFusion,
    MetaGAN,
    MetaLSTM,
    MetaNetwork,
    MultiTask,
    PrototypicalNetwork,
    Regularised,
    Reptile,
    RidgeHead,
    SiameseNetwork,
)
from mapsto.learners.matching import FullContext
from mapsto.learners.metagan import TaskGenerator
from mapsto.learners.vsml import LSTMWeight
from mapsto.models import (
    MLP,
    SENN,
    Conv3,
    Conv4,
    KernelAttention,
    MomentNetwork,
    NewtonNetwork,
    SetTransformer,
    SoftDecisionTree,
)
from mapsto.penalties import Balance, ConceptStability

TASKS, ROWS, WAYS = 3, 8, 3


def regression() -> Episode:
    """Make a batch of tasks with unequal weights, padding at the end of each support set."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, TASKS, ROWS, 2, generator=g).double(), torch.randn(2, TASKS, ROWS, 1, generator=g).double()
    return Episode(Examples(x[0], y[0], weights(g)), Examples(x[1], y[1], torch.full((TASKS, ROWS), 1 / ROWS).double()))


def classification(*shape: int) -> Episode:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, TASKS, ROWS, *shape, generator=g).double()
    y = torch.stack([torch.arange(ROWS) % WAYS] * TASKS)
    return Episode(Examples(x[0], y, weights(g)), Examples(x[1], y, torch.full((TASKS, ROWS), 1 / ROWS).double()))


def weights(generator: torch.Generator) -> Tensor:
    return 0.2 * torch.rand(TASKS, ROWS, generator=generator).double() * (torch.arange(ROWS) < ROWS - 1)


def mlp(outputs: int) -> nn.Module:
    return MLP(2, 5, 5, outputs, activation="tanh").double()


def conv4(outputs: int | None) -> nn.Module:
    return Conv4(hidden=2, outputs=outputs, size=16, activation="softplus", pooling="average").double()


def in_full_context(body: nn.Module, width: int) -> MatchingNetwork:
    return MatchingNetwork(body, WAYS, FullContext(width, processing_steps=2)).double()


def loud(network: MetaNetwork) -> MetaNetwork:
    """Make the fast weights large, which start small, so that the support set has something to say."""
    for writer in (*(w.out for w in network.task_writers), *(w[-1] for w in network.example_writers)):
        with torch.no_grad():
            writer.weight *= 10
    return network.double()


def loud_weights() -> LSTMWeight:
    """Make a cell whose answers depend on its messages well above rounding."""
    cell = LSTMWeight(4, 3)
    with torch.no_grad():
        for p in cell.parameters():
            p.mul_(3)
    return cell


class Row(NamedTuple):
    """A learner, tasks for it, and the laws that do not apply, each with its reason."""

    make: Callable[[], Learner]
    batch: Callable[[], Episode]
    exempt: dict[str, str] = {}  # noqa: RUF012


LATENTS = 3


def with_noise() -> Episode:
    """Make regression tasks with two draws of the latent."""
    g = torch.Generator().manual_seed(2)
    return regression()._replace(noise=torch.randn(TASKS, 2, LATENTS, generator=g).double())


def between(inputs: int, outputs: int) -> nn.Module:
    return MLP(inputs, 6, outputs, activation="tanh").double()


def attention() -> nn.Module:
    return KernelAttention(features=2, targets=1, width=8, depth=2, heads=2, scales=(0.5, 2.0)).double()


def moments() -> nn.Module:
    return MomentNetwork(2, hidden=(6,)).double()


def written() -> nn.Module:
    """Write the 21 parameters of an MLP 2-5-1."""
    return MomentNetwork(4, between(2, 4), write=between(5, 21), hidden=(6,)).double()


def newton() -> nn.Module:
    """Fit a linear classifier to two features, and move its start off 0, where classes are alike."""
    body = NewtonNetwork(2, WAYS, layers=2).double()
    torch.nn.init.normal_(body.start)
    return body


def newton_written() -> nn.Module:
    """Write the parameters of an MLP 2-5-WAYS."""
    size = sum(value.numel() for value in MLP(2, 5, WAYS).parameters())
    return NewtonNetwork(4, WAYS, between(2, 4), between(5 * WAYS, size), layers=2).double()


def images() -> Episode:
    return classification(1, 16, 16)


def streaming() -> Episode:
    """Make tasks with four earlier ones each to remember."""
    g, batch = torch.Generator().manual_seed(2), regression()
    x, y = (torch.randn(TASKS, 4, ROWS, n, generator=g).double() for n in (2, 1))
    return batch._replace(context=Examples(x, y, torch.rand(TASKS, 4, ROWS, generator=g).double() / ROWS))


def noisy() -> Episode:
    noise = torch.randn(TASKS, 5, 3, generator=torch.Generator().manual_seed(2)).double()
    return classification(2)._replace(noise=noise)


def gan(learner: Learner) -> MetaGAN:
    made = TaskGenerator(MLP(2, 3, activation="tanh"), MLP(6, 5, 2, activation="tanh"), latent=3, fakes=4)
    return MetaGAN(learner, made, WAYS).double()


def larger_images() -> Episode:
    return classification(1, 22, 22)


def two_ways() -> Episode:
    batch = classification(2)
    return Episode(*(part._replace(y=part.y % 2) for part in batch[:2]))


def answers() -> Episode:
    batch = classification(4)
    return Episode(*(part._replace(y=part.y % 2) for part in batch[:2]))


def remembering() -> Episode:
    """Make tasks with a remember set of their classes and of two more, which only the remember set has."""
    g, batch = torch.Generator().manual_seed(2), classification(2)
    x, y = torch.randn(TASKS, 6, 2, generator=g).double(), torch.arange(TASKS * 6).view(TASKS, 6) % (WAYS + 2)
    return batch._replace(context=Examples(x, y, torch.full((TASKS, 6), 0.1).double()))


def conv3(outputs: int) -> nn.Module:
    return Conv3(hidden=2, outputs=outputs, size=22, activation="softplus", pooling="average").double()


def awake(learner: Learner) -> Learner:
    """Move weights away from their start, at which no answer depends on the row."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in learner.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return learner.double()


def soft_tree() -> nn.Module:
    return nn.Sequential(mlp(4), SoftDecisionTree(4, WAYS, depth=2, sharpness=4.0)).double()


def senn() -> nn.Module:
    return SENN(nn.Identity(), mlp(2 * WAYS), WAYS).double()


FIRST_ORDER = {"meta_gradient": "it leaves out the second derivatives, by definition"}
CONTINUAL = {"support_order": "what comes late disturbs what came early: the order is the task"}
STOPPED = {
    "meta_gradient": "its gradient is θ − φ, the way to φ being cut off, by definition",
    "support_gradient": "its loss is cut off from the support set, by definition (views are not)",
    "gradient_at_weight_zero": "its loss is cut off from the support set, by definition (views are not)",
}
IN_TURN = {
    "support_order": "rows are read in turn, a minibatch a step",
    "weight_zero": "a row that weighs nothing still takes its turn",
}
CONSTANT = dict.fromkeys(
    ("meta_gradient", "support_gradient", "gradient_at_weight_zero"),
    "its training loss takes inner gradients for constants, by definition (views do not)",
)
TWO_PLAYERS = {
    "meta_gradient": "its gradient is of two losses, each by its own player's parameters, by definition",
    "support_gradient": "its loss has two players, one cut off from what the other adapts to (views are not)",
    "gradient_at_weight_zero": "its loss has two players, one cut off from what the other adapts to (views are not)",
}
WRITTEN_IN_TURN = {
    "support_order": "its LSTM reads the gradients of the support set as a sequence, by definition",
    "gradient_at_weight_zero": "its LSTM begins to read a gradient when the example's weight leaves 0, a jump",
}
TRANSDUCTIVE = {"row_wise": "its query rows normalise each other, by definition"}
LOG_WEIGHT = {"gradient_at_weight_zero": "it attends to log w, whose derivative has no value at w = 0"}
FULL_CONTEXT = {
    "support_order": "its bidirectional LSTM reads the support set as a sequence, by definition",
    "gradient_at_weight_zero": "its LSTM begins to read an example when its weight leaves 0, a jump",
}
SEQUENCE = {
    "support_order": "it reads a sequence, by definition",
    "gradient_at_weight_zero": "an example takes a place in the sequence as soon as it has any weight",
}
IN_ORDER = {"support_order": "it reads answers in their order, by definition"}
STREAM = {"support_order": "it runs on the support set as a stream, by definition"}
NO_SUPPORT = dict.fromkeys(
    ("weight_zero", "support_gradient", "gradient_at_weight_zero"), "the model does not depend on the support set"
)
LEARNERS = {
    "MAML": Row(lambda: MAML(mlp(1), loss="mse", lr=0.3, steps=2), regression),
    "MAML on images": Row(lambda: MAML(conv4(WAYS), lr=0.3, steps=2), images),
    "MAML transductive": Row(lambda: MAML(conv4(WAYS), lr=0.3, steps=2, transductive=True), images, TRANSDUCTIVE),
    "FOMAML": Row(lambda: MAML(mlp(1), loss="mse", lr=0.3, steps=3, first_order=True), regression, FIRST_ORDER),
    "ANIL": Row(lambda: MAML(mlp(WAYS), lr=0.3, steps=2, adapt="head"), lambda: classification(2)),
    "Meta-SGD": Row(lambda: MAML(mlp(1), loss="mse", lr=0.3, steps=2, learn_lr=True), regression),
    "MAML++ rates": Row(lambda: MAML(mlp(1), loss="mse", lr=0.3, steps=2, learn_lr="layer-step"), regression),
    "MAML, head from 0": Row(lambda: MAML(mlp(WAYS), lr=0.3, steps=2, zero_head=True), lambda: classification(2)),
    "implicit MAML": Row(
        lambda: MAML(mlp(WAYS), lr=0.5, steps=60, differentiation=Implicit(12), proximal=1.0),
        lambda: classification(2),
    ),
    "Reptile": Row(lambda: Reptile(mlp(1), loss="mse", lr=0.1, steps=3), regression, STOPPED),
    "Reptile, minibatches": Row(
        lambda: Reptile(mlp(1), loss="mse", lr=0.1, steps=5, minibatch=3), regression, STOPPED | IN_TURN
    ),
    "ANML": Row(lambda: ANML(mlp(4), mlp(4), 4, WAYS + 2, lr=0.5).double(), remembering, CONTINUAL),
    "OML": Row(lambda: ANML(mlp(4), None, 4, WAYS + 2, lr=0.5).double(), remembering, CONTINUAL),
    "ANML on images": Row(lambda: ANML(conv3(3), conv3(3), 3, WAYS, lr=0.5).double(), larger_images, CONTINUAL),
    "meta network": Row(
        lambda: loud(MetaNetwork(mlp(WAYS), mlp(WAYS), hidden=4)), lambda: classification(2), WRITTEN_IN_TURN
    ),
    "meta network for regression": Row(
        lambda: loud(MetaNetwork(mlp(1), mlp(1), loss="mse", hidden=4)), regression, WRITTEN_IN_TURN
    ),
    "meta network on images": Row(
        lambda: loud(MetaNetwork(conv4(WAYS), conv4(WAYS), hidden=2)), images, WRITTEN_IN_TURN
    ),
    "memory fusion": Row(lambda: MemoryFusion(MAML(mlp(1), loss="mse", lr=0.3, steps=2), width=3).double(), streaming),
    "MetaGAN on prototypes": Row(lambda: gan(PrototypicalNetwork(mlp(4), WAYS + 1)), noisy, TWO_PLAYERS),
    "MetaGAN on MAML": Row(lambda: gan(MAML(mlp(WAYS + 1), lr=0.3, steps=2)), noisy, TWO_PLAYERS),
    "prototypes": Row(lambda: PrototypicalNetwork(mlp(4), WAYS), lambda: classification(2)),
    "prototypes of images": Row(lambda: PrototypicalNetwork(conv4(None), WAYS), images),
    "matching": Row(lambda: MatchingNetwork(mlp(4), WAYS), lambda: classification(2)),
    "matching, sharper": Row(lambda: MatchingNetwork(mlp(4), WAYS, scale=10.0), lambda: classification(2)),
    "matching in full context": Row(lambda: in_full_context(mlp(4), 4), lambda: classification(2), FULL_CONTEXT),
    "matching of images": Row(lambda: MatchingNetwork(conv4(None), WAYS), images),
    "siamese": Row(lambda: SiameseNetwork(mlp(4), WAYS), lambda: classification(2)),
    "siamese on images": Row(lambda: SiameseNetwork(conv4(None), WAYS, margin=0.5), images),
    "ridge": Row(lambda: RidgeHead(mlp(4), WAYS, penalty=0.1).double(), lambda: classification(2)),
    "ridge, fewer rows than features": Row(
        lambda: RidgeHead(mlp(12), WAYS, penalty=0.1).double(), lambda: classification(2)
    ),
    "ridge regression": Row(lambda: RidgeHead(mlp(4), 1, loss="mse", penalty=0.1).double(), regression),
    "ridge on images": Row(lambda: RidgeHead(conv4(None), WAYS, penalty=0.1).double(), images),
    "CNP": Row(lambda: CNP(between(3, 4), between(6, 2)), regression),
    "NP": Row(lambda: NP(between(3, 2 * LATENTS), between(2 + LATENTS, 2)), with_noise),
    "ANP": Row(lambda: ANP(attention(), between(3, 2 * LATENTS), between(10 + LATENTS, 2)), with_noise),
    "hypernetwork": Row(lambda: Hypernetwork(moments(), nn.Linear(2, 1).double()), regression),
    "hypernetwork of an MLP": Row(
        lambda: Hypernetwork(written(), MLP(2, 5, 1, activation="tanh").double()), regression
    ),
    "hypernetwork for classes": Row(
        lambda: Hypernetwork(newton(), nn.Linear(2, WAYS).double(), "cross_entropy"), lambda: classification(2)
    ),
    "hypernetwork of an MLP for classes": Row(
        lambda: Hypernetwork(newton_written(), MLP(2, 5, WAYS, activation="tanh").double(), "cross_entropy"),
        lambda: classification(2),
    ),
    "DKT": Row(lambda: DKT(5).double(), answers, IN_ORDER),
    "SNAIL": Row(lambda: SNAIL(mlp(3), 3, WAYS, ROWS, filters=4).double(), lambda: classification(2), SEQUENCE),
    "SNAIL on images": Row(lambda: SNAIL(conv4(None), 2, WAYS, ROWS, filters=4).double(), images, SEQUENCE),
    "SNAIL, regression": Row(lambda: SNAIL(mlp(3), 3, 1, ROWS, "mse", filters=4).double(), regression, SEQUENCE),
    "LSTM meta-learner": Row(lambda: MetaLSTM(mlp(1), loss="mse", lr=0.2, hidden=4).double(), regression, CONSTANT),
    "LSTM meta-learner, exact": Row(
        lambda: MetaLSTM(mlp(WAYS), steps=2, lr=0.2, hidden=4, differentiation=Reverse()).double(),
        lambda: classification(2),
    ),
    "LSTM meta-learner on images": Row(
        lambda: MetaLSTM(conv4(WAYS), steps=2, lr=0.2, hidden=4, differentiation=Reverse()).double(), images
    ),
    "learned optimizer": Row(
        lambda: LearnedOptimizer(mlp(1), "mse", steps=3, hidden=4, scale=1.0).double(), regression, CONSTANT
    ),
    "learned optimizer, exact": Row(
        lambda: LearnedOptimizer(
            mlp(WAYS), steps=3, hidden=4, scale=1.0, judged_on="query", differentiation=Reverse()
        ).double(),
        lambda: classification(2),
    ),
    "VSML": Row(lambda: VSML(nn.Flatten(), WAYS, cell=LSTMWeight(4, 3)).double(), lambda: classification(2), STREAM),
    "VSML, two layers, regression": Row(
        lambda: VSML(mlp(3), 1, (2,), LSTMWeight(4, 3, ticks=1), loss="mse").double(), regression, STREAM
    ),
    "VSML on images": Row(lambda: VSML(conv4(None), WAYS, cell=loud_weights()).double(), images, STREAM),
    "multi-task": Row(lambda: MultiTask(mlp(1), loss="mse", lr=0.3, steps=2), regression),
    "multi-task on images": Row(lambda: MultiTask(conv4(WAYS), lr=0.3, steps=2), images),
    "MAML, soft tree": Row(lambda: MAML(soft_tree(), lr=0.3, steps=2), lambda: classification(2)),
    "ANIL, balanced soft tree": Row(
        lambda: Regularised(MAML(soft_tree(), lr=0.3, steps=2, adapt="head"), Balance()), lambda: classification(2)
    ),
    "MAML, stable concepts": Row(
        lambda: Regularised(MAML(senn(), lr=0.3, steps=1), ConceptStability()), lambda: classification(2)
    ),
    "plain network": Row(lambda: Fixed(mlp(WAYS)), lambda: classification(2), NO_SUPPORT),
    "plain network with batch norm": Row(
        lambda: Fixed(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).double(), "mse"),
        regression,
        NO_SUPPORT,
    ),
    "in context": Row(lambda: awake(InContext(SetTransformer(8, 2, 2), WAYS)), lambda: classification(2), LOG_WEIGHT),
    "in context, 2 ways": Row(lambda: awake(InContext(SetTransformer(8, 2, 2), 2, members=2)), two_ways, LOG_WEIGHT),
    "in context, numbers": Row(
        lambda: awake(InContext(SetTransformer(8, 2, 2), 1, members=2, loss="mse")), regression, LOG_WEIGHT
    ),
}


def vmap_is_the_loop(make: Callable[[], Learner], batch: Episode) -> None:
    learner = make()
    together, metrics = over_tasks(learner.loss)(batch)
    alone = [learner.loss(episode) for episode in unstack(batch)]
    close(together, torch.stack([loss for loss, _ in alone]))
    for name in metrics:
        close(metrics[name], torch.stack([m[name] for _, m in alone]))


def row_wise(make: Callable[[], Learner], batch: Episode) -> None:
    learner, (episode, *_) = make(), unstack(batch)
    state, x = learner.adapt(episode.support), episode.query.x
    scores = learner.predict(state, x)
    close(scores, torch.cat([learner.predict(state, row[None]) for row in x]))
    close(scores[:2], learner.predict(state, torch.cat([x[:2], 10 * x[2:]]))[:2])


def support_order(make: Callable[[], Learner], batch: Episode) -> None:
    learner, (episode, *_) = make(), unstack(batch)
    shuffled = Examples(*(leaf.flip(0) for leaf in episode.support))
    close(answer(learner, shuffled, episode), answer(learner, episode.support, episode))


def weight_zero(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect weight 0 to be deletion, the other weights unchanged, whatever the example holds."""
    learner, (episode, *_) = make(), unstack(batch)
    support = episode.support
    gone = torch.arange(len(support.w)) == 1
    away = Examples(
        torch.where(room(gone, support.x), 7.0, support.x), support.y.flip(0), torch.where(gone, 0.0, support.w)
    )
    away = away._replace(y=torch.where(room(gone, support.y), away.y, support.y))
    deleted = Examples(*(leaf[~gone] for leaf in support))
    close(answer(learner, away, episode), answer(learner, deleted, episode))
    assert not torch.allclose(answer(learner, away, episode), answer(learner, support, episode))


def empty_support(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect all weights 0 to be the prior prediction, finite in value and in gradient."""
    learner, (episode, other, *_) = make(), unstack(batch)
    nothing = [e.support._replace(w=torch.zeros_like(e.support.w)) for e in (episode, other)]
    prior = answer(learner, nothing[0], episode)
    assert prior.isfinite().all()
    close(answer(learner, nothing[1], episode), prior)
    close(answer(learner, Examples(*(leaf[:0] for leaf in episode.support)), episode), prior)
    for part in ("x", "w"):
        slope = grad(lambda moved, part=part: answer(learner, nothing[0]._replace(**{part: moved}), episode).sum())
        assert slope(getattr(nothing[0], part)).isfinite().all()


def meta_gradient(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect the derivative of the loss by the parameters to be that of finite differences, along random directions."""
    learner, (episode, *_) = make(), unstack(batch)
    params = {name: p.detach() for name, p in learner.named_parameters()}
    slopes(lambda params: functional_call(learner, params, (episode,))[0], params)


def support_gradient(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect the derivative of the loss by the support set to be that of finite differences, through adaptation."""
    learner, (episode, *_) = make(), unstack(batch)
    real = Examples(*(leaf[episode.support.w > 0] for leaf in episode.support))
    for part in ("x", "w"):
        slopes(through_adaptation(learner, episode._replace(support=real)), {part: getattr(real, part)})


def gradient_at_weight_zero(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect the derivative by a weight that is 0 to say what adding that example would begin to do."""
    learner, (episode, *_) = make(), unstack(batch)
    slopes(through_adaptation(learner, episode), {"w": episode.support.w}, only=episode.support.w == 0)


def parameters_untouched(make: Callable[[], Learner], batch: Episode) -> None:
    learner, (episode, *_) = make(), unstack(batch)
    before = {name: (t, t.detach().clone()) for name, t in learner.state_dict(keep_vars=True).items()}
    learner.features(learner.adapt(episode.support), episode.query.x)
    learner.loss(episode)
    after = learner.state_dict(keep_vars=True)
    assert after.keys() == before.keys()
    for name, (tensor, value) in before.items():
        assert after[name] is tensor and tensor.grad is None
        torch.testing.assert_close(tensor.detach(), value, rtol=0, atol=0)


def dtype_and_device(make: Callable[[], Learner], batch: Episode) -> None:
    for where in (torch.float32, torch.float64, torch.device("meta")):
        learner, (episode, *_) = make().to(where), unstack(to(batch, where))
        state = learner.adapt(episode.support)
        floating = [t for t in pytree.tree_leaves(state) if t.is_floating_point()]
        for tensor in (*floating, learner.predict(state, episode.query.x)):
            assert where in (tensor.dtype, tensor.device)


def save_and_load(make: Callable[[], Learner], batch: Episode) -> None:
    torch.manual_seed(0)
    (learner, again), (episode, *_) = (make(), make()), unstack(batch)
    again.load_state_dict(load(save(learner.state_dict())))
    expected = answer(learner, episode.support, episode)
    assert not torch.allclose(answer(make(), episode.support, episode), expected)
    torch.testing.assert_close(answer(again, episode.support, episode), expected, rtol=0, atol=0)


def features_are_rows(make: Callable[[], Learner], batch: Episode) -> None:
    """Expect one feature row a query row, and the scores to depend on the state that the features show."""
    learner, (episode, *_) = make(), unstack(batch)
    state = learner.adapt(episode.support)
    features = learner.features(state, episode.query.x)
    assert features
    for value in features.values():
        assert len(value) == len(episode.query.x) and value.isfinite().all()


LAWS: dict[str, Callable[[Callable[[], Learner], Episode], None]] = {
    law.__name__: law
    for law in (
        *(vmap_is_the_loop, row_wise, support_order, weight_zero, empty_support, meta_gradient, support_gradient),
        *(gradient_at_weight_zero, parameters_untouched, dtype_and_device, save_and_load, features_are_rows),
    )
}
APPLY = [(name, law) for name, row in LEARNERS.items() for law in LAWS if law not in row.exempt]
EXEMPT = [(name, law) for name, row in LEARNERS.items() for law in row.exempt]


@pytest.mark.parametrize(("name", "law"), APPLY)
def test_law(name: str, law: str) -> None:
    torch.manual_seed(0)
    LAWS[law](LEARNERS[name].make, LEARNERS[name].batch())


@pytest.mark.parametrize(("name", "law"), EXEMPT)
def test_an_exemption_is_needed(name: str, law: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        LAWS[law](LEARNERS[name].make, LEARNERS[name].batch())


class Remembers(MAML):
    """Impure: each call of `adapt` moves the next answer."""

    calls = 0

    def adapt(self, support: Examples) -> State:
        self.calls += 1
        return super().adapt(support._replace(y=support.y + self.calls))


class OrderMatters(MAML):
    """Weighs an example by its place."""

    def adapt(self, support: Examples) -> State:
        return super().adapt(support._replace(w=support.w * torch.arange(len(support.w)).to(support.w)))


class IgnoresWeights(MAML):
    """Averages over padding."""

    def adapt(self, support: Examples) -> State:
        return super().adapt(support._replace(w=torch.full_like(support.w, 1 / max(len(support.w), 1))))


class Clamps(MAML):
    """Kinks the loss at weight 0."""

    def adapt(self, support: Examples) -> State:
        return super().adapt(support._replace(w=support.w.relu()))


class Detached(MAML):
    """Cuts the support set off: no derivative through adaptation reaches it."""

    def adapt(self, support: Examples) -> State:
        return super().adapt(Examples(support.x.detach(), support.y, support.w.detach()))


class InPlace(MAML):
    """Adapts its own parameters."""

    def adapt(self, support: Examples) -> State:
        state = super().adapt(support)
        with torch.no_grad():
            for name, value in state.params.items():
                self.body.get_parameter(name).copy_(value)
        return state


class Casts(MAML):
    """Answers in single precision whatever it is given."""

    def predict(self, state: State, x: Tensor) -> Tensor:
        return super().predict(state, x).float()


class Forgets(MAML):
    """Learns something that is not in its `state_dict`."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.bias = torch.randn(1).double()

    def predict(self, state: State, x: Tensor) -> Tensor:
        return super().predict(state, x) + self.bias


class DividesByMass(PrototypicalNetwork):
    """Takes the mean of nothing, 0 / 0."""

    def adapt(self, support: Examples) -> State:
        state = super().adapt(support)
        return state._replace(means=state.means * state.mass[:, None] / state.mass[:, None])


class Pools(MAML):
    """Names a feature of all rows together."""

    def features(self, state: State, x: Tensor) -> dict[str, Tensor]:
        return {name: value.mean(0) for name, value in super().features(state, x).items()}


def mutant(kind: type[MAML], **arguments: Any) -> Row:
    return Row(lambda: kind(mlp(1), loss="mse", lr=0.3, **{"steps": 2, **arguments}), regression)


MUTANTS = {
    "vmap_is_the_loop": mutant(Remembers),
    "row_wise": LEARNERS["MAML transductive"],
    "support_order": mutant(OrderMatters),
    "weight_zero": mutant(IgnoresWeights),
    "empty_support": Row(lambda: DividesByMass(mlp(4), WAYS), lambda: classification(2)),
    "meta_gradient": mutant(MAML, first_order=True),
    "support_gradient": mutant(Detached),
    "gradient_at_weight_zero": mutant(Clamps),
    "parameters_untouched": mutant(InPlace),
    "dtype_and_device": mutant(Casts),
    "save_and_load": mutant(Forgets),
    "features_are_rows": mutant(Pools),
}


@pytest.mark.parametrize("law", LAWS)
def test_a_learner_that_breaks_the_law_is_caught(law: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        LAWS[law](MUTANTS[law].make, MUTANTS[law].batch())


def test_more_steps_after_training_go_further() -> None:
    torch.manual_seed(0)
    body, episode = mlp(1), unstack(regression())[0]
    learner = MAML(body, loss="mse", lr=0.1, steps=1)
    learner.steps = 10
    close(
        answer(learner, episode.support, episode),
        answer(MAML(body, loss="mse", lr=0.1, steps=10), episode.support, episode),
    )
    learner.steps = 0
    close(answer(learner, episode.support, episode), body(episode.query.x))


def test_an_empty_support_leaves_maml_unadapted_and_prototypes_uniform() -> None:
    torch.manual_seed(0)
    body, episode = mlp(WAYS), unstack(classification(2))[0]
    nothing = episode.support._replace(w=torch.zeros_like(episode.support.w))
    close(answer(MAML(body, lr=1.0), nothing, episode), body(episode.query.x))
    close(
        answer(PrototypicalNetwork(body, 7), nothing, episode).softmax(-1),
        torch.full((ROWS, 7), 1 / 7, dtype=torch.double),
    )


def test_frozen_parameters_are_neither_adapted_nor_in_the_way() -> None:
    torch.manual_seed(0)
    body, episode = mlp(1), unstack(regression())[0]
    frozen = next(body.parameters()).requires_grad_(False)
    learner = MAML(body, loss="mse", lr=0.3, steps=2, learn_lr=True)
    state = learner.adapt(episode.support)
    assert set(state.params) == {name for name, p in body.named_parameters() if p is not frozen}
    assert len(learner.rates) == len(state.params)
    learner.loss(episode)[0].backward()
    assert frozen.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.parameters() if p is not frozen)


def test_adapting_the_head_moves_the_last_layer_alone() -> None:
    learner, episode = MAML(mlp(1), loss="mse", adapt="head"), unstack(regression())[0]
    before = dict(learner.body.named_parameters())
    state = learner.adapt(episode.support)
    assert set(state.params) == {"5.weight", "5.bias"}
    assert all(not torch.equal(value, before[name]) for name, value in state.params.items())


def test_a_head_from_zero_takes_one_step_to_inner_products() -> None:
    torch.manual_seed(0)
    body, (support, query, *_) = mlp(WAYS), unstack(classification(2))[0]
    state = (learner := MAML(body, lr=0.7, zero_head=True)).adapt(support)
    f, told = nn.Sequential(*list(body)[:-1]), nn.functional.one_hot(support.y, WAYS).double() - 1 / WAYS
    products = f(query.x) @ f(support.x).T + 1  # Kao et al. 2022, eq. 7, with a bias
    close(learner.predict(state, query.x), 0.7 * products @ (support.w[:, None] * told))


def test_the_first_step_from_zero_leaves_out_nothing_that_moves() -> None:
    torch.manual_seed(0)
    body, (support, query, *_) = mlp(WAYS), unstack(classification(2))[0]
    learner, start = MAML(body, lr=0.7, steps=3, zero_head=True), dict(body.named_parameters())
    params = start | {name: torch.zeros_like(start[name], requires_grad=True) for name in learner.zeroed}
    for _ in range(3):
        scores = functional_call(body, params, (support.x,))
        loss = (support.w * nn.functional.cross_entropy(scores, support.y, reduction="none")).sum()
        g = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        params = {name: p - 0.7 * d for (name, p), d in zip(params.items(), g, strict=True)}
    expected, got = functional_call(body, params, (query.x,)), learner.predict(learner.adapt(support), query.x)
    close(got, expected)
    for a, b in zip(*(torch.autograd.grad(s.sin().sum(), body[1].weight) for s in (got, expected)), strict=True):
        close(a, b)


def test_a_head_from_zero_does_not_know_its_classes_before_they_are_taught() -> None:
    torch.manual_seed(0)
    body, (support, query, *_) = mlp(WAYS), unstack(classification(2))[0]
    renamed = support._replace(y=(support.y + 1) % WAYS)
    for zero_head in (True, False):
        learner = MAML(body, lr=0.7, steps=3, zero_head=zero_head)
        here, there = (learner.predict(learner.adapt(s), query.x) for s in (support, renamed))
        assert torch.allclose(there, here.roll(1, -1), atol=1e-9) == zero_head


def test_learned_rates_start_as_the_given_one_and_are_parameters() -> None:
    torch.manual_seed(0)
    body, episode = mlp(1), unstack(regression())[0]
    learned = MAML(body, loss="mse", lr=0.3, learn_lr=True)
    close(answer(learned, episode.support, episode), answer(MAML(body, loss="mse", lr=0.3), episode.support, episode))
    assert {name for name, _ in learned.named_parameters()} >= {f"rates.{i}" for i in range(6)}
    assert [rate.shape for rate in learned.rates] == [p.shape for p in body.parameters()]


def test_meta_sgd_follows_each_entry_at_its_own_rate() -> None:
    line, support = nn.Linear(2, 1, bias=False).double(), examples(torch.eye(2).double(), torch.ones(2, 1).double())
    learner = MAML(line, loss="mse", lr=0.0, learn_lr=True)
    with torch.no_grad():
        learner.rates[0].copy_(torch.tensor([[1.0, 0.5]]))
    moved = learner.adapt(support).params["weight"] - line.weight
    close(moved, torch.tensor([[1.0, 0.5]]).double() * (1 - line.weight))  # the gradient is w − 1 for each entry


def test_prototypes_are_weighted_class_means() -> None:
    x, y = torch.tensor([[0.0], [4.0], [9.0]]), torch.tensor([0, 0, 2])
    learner = PrototypicalNetwork(nn.Identity(), ways=3)
    state = learner.adapt(Examples(x, y, torch.tensor([0.3, 0.1, 0.6])))
    close(state.means[[0, 2]], torch.tensor([[1.0], [9.0]]))
    scores = learner.predict(state, torch.tensor([[2.0]]))
    close(scores, torch.tensor([[-1.0, -torch.inf, -49.0]]))
    assert scores.softmax(-1)[0, 1] == 0


@pytest.mark.parametrize("away", [0.0, 5000.0])
def test_prototypes_tell_near_classes_apart_far_from_the_origin(away: float) -> None:
    """In single precision |f|² − 2f·c + |c|² of numbers in the thousands has no decimals left."""
    learner = PrototypicalNetwork(nn.Identity(), ways=3)
    x = (away + torch.tensor([[0.0], [1.0]])).requires_grad_()
    state = learner.adapt(examples(x, torch.tensor([0, 2])))
    scores = learner.predict(state, torch.tensor([[away + 0.25]]))
    torch.testing.assert_close(scores, torch.tensor([[-0.0625, -torch.inf, -0.5625]]))
    slope = torch.autograd.grad(scores[:, [0, 2]].log_softmax(1)[0, 0], x)[0]
    torch.testing.assert_close(slope, (0.5 / (1 + math.exp(0.5))) * torch.tensor([[1.0], [3.0]]))


def test_a_row_of_weight_zero_may_hold_anything() -> None:
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    w, told = torch.tensor([0.5, 0.0, 0.5], requires_grad=True), torch.zeros(3, 2)
    for unknown in (torch.nan, torch.inf):
        y = torch.tensor([[0.0, 0.0], [unknown, 0.0], [0.0, 0.0]])
        loss = losses.mse(scores, y, w)
        assert loss == losses.mse(scores[::2], told[::2], w[::2]) == 16.5
        of_scores, of_w = torch.autograd.grad(loss, [scores, w])
        assert torch.equal(of_scores, torch.tensor([[0.5, 1.0], [0.0, 0.0], [2.5, 3.0]])) and of_w.isfinite().all()
        assert not losses.mse(scores, y, torch.ones(3)).isfinite()
    assert torch.autograd.grad(losses.mse(scores, told, w), w)[0][1] == 12.5  # of a number that is known, its slope


def test_ways_may_change_between_training_and_testing() -> None:
    learner, episode = PrototypicalNetwork(mlp(4), ways=20), unstack(classification(2))[0]
    wide = answer(learner, episode.support, episode)
    learner.ways = WAYS
    close(answer(learner, episode.support, episode), wide[:, :WAYS])


def test_prototypes_give_finite_gradients_with_a_class_missing() -> None:
    torch.manual_seed(0)
    learner, episode = PrototypicalNetwork(mlp(4), ways=WAYS + 2), unstack(classification(2))[0]
    learner.loss(episode)[0].backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in learner.body.parameters() if p.dim() > 1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MAML(mlp(1), loss="l1"), "^loss: "),
        (lambda: MAML(mlp(1), adapt="legs"), "^adapt: "),
        (lambda: MAML(mlp(1), steps=-1), "^steps: "),
        (lambda: MAML(mlp(1), lr=float("nan")), "^lr: "),
        (lambda: MAML(mlp(1), learn_lr="per-step"), "^learn_lr: "),
        (lambda: MAML(mlp(1), learn_lr="layer-step", steps=0), "^steps: "),
        (lambda: MAML(mlp(1), minibatch=0), "^minibatch: "),
        (lambda: MAML(mlp(1), proximal=-1.0), "^proximal: "),
        (lambda: MAML(mlp(1), differentiation="Adjoint"), "^differentiation: "),
        (lambda: MAML(mlp(1), differentiation=Implicit), "^differentiation: "),
        (lambda: MAML(mlp(1), optimizer="adam"), "^optimizer: "),
        (lambda: MAML(mlp(1), first_order=True, differentiation=Implicit()), "^differentiation: .*first_order"),
        (lambda: MAML(mlp(1), differentiation=Implicit(), proximal=1.0, minibatch=2), "^minibatch: "),
        (lambda: MAML(nn.Flatten()), "^body: "),
        (lambda: MAML(mlp(1).requires_grad_(False)), "^body: "),
        (lambda: MAML(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))), "^body: .*track_running_stats=False"),
        (lambda: PrototypicalNetwork(nn.Sequential(nn.BatchNorm1d(2)), 5), "^body: .*track_running_stats=False"),
        (lambda: PrototypicalNetwork(mlp(4), 0), "^ways: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable[[], Learner], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def trained(outputs: int | None) -> nn.Module:
    """Build the network that is trained; torch 2.13 cannot trace the second derivative of softplus after vmap."""
    return Conv4(hidden=2, outputs=outputs, size=16).double()


IN_PIECES = {
    "implicit MAML": "the conjugate gradients are taken in an autograd function, whose context cannot be traced",
    "MetaGAN on prototypes": "its players' parameters are swapped inside the loss, which cannot be traced",
    "MetaGAN on MAML": "its players' parameters are swapped inside the loss, which cannot be traced",
    "ANIL, balanced soft tree": "its penalty reads features by hooks, which cannot be traced",
    "MAML, stable concepts": "its penalty reads features by hooks, which cannot be traced",
}
TRACED = LEARNERS | {
    "implicit MAML": Row(
        lambda: MAML(mlp(WAYS), lr=0.5, steps=2, differentiation=Implicit(2), proximal=1.0), lambda: classification(2)
    ),
    "meta network": Row(
        lambda: loud(MetaNetwork(between(2, WAYS), between(2, WAYS), hidden=4)), lambda: classification(2)
    ),
    "in context": Row(lambda: awake(InContext(SetTransformer(8, 1, 2), WAYS)), lambda: classification(2)),
}
"""The same with fewer steps and layers: a tracer unrolls each one anew, and they are alike."""

COMPILED = {
    **{name: row for name, row in TRACED.items() if name not in IN_PIECES},
    "MAML on images": Row(lambda: MAML(trained(WAYS), lr=0.3), images),
    "MAML transductive": Row(lambda: MAML(trained(WAYS), lr=0.3, transductive=True), images),
    "prototypes of images": Row(lambda: PrototypicalNetwork(trained(None), WAYS), images),
    "meta network on images": Row(lambda: MetaNetwork(trained(WAYS), trained(WAYS), hidden=2).double(), images),
    "LSTM meta-learner on images": Row(
        lambda: MetaLSTM(trained(WAYS), steps=2, lr=0.2, hidden=4, differentiation=Reverse()).double(), images
    ),
    "FOMAML + ANIL + Meta-SGD": mutant(MAML, first_order=True, adapt="head", learn_lr=True),
}


def outer_gradient(learner: Learner) -> Callable[[dict[str, Tensor], Episode], Any]:
    def mean(params: dict[str, Tensor], batch: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        losses, metrics = over_tasks(lambda episode: functional_call(learner, params, (episode,)))(batch)
        return losses.mean(), metrics

    return grad_and_value(mean, has_aux=True)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Callable[[str], None]]:
    """Run calls of this file in one other process: `torch.compile` cannot trace annotations that are checked."""
    code = f"""
import gc, json, sys, traceback, torch
torch.set_num_threads({torch.get_num_threads()})
from test_learners import *
gc.freeze(), gc.disable()  # collecting while the tracer allocates takes a fifth of the time
for line in sys.stdin:
    try:
        exec(json.loads(line))
        answer = ""
    except BaseException:
        answer = traceback.format_exc()
    print("answer", json.dumps(answer), flush=True)
    torch.compiler.reset()
    gc.collect()
"""
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        lines = child.stdin, child.stdout

        def run(call: str) -> None:
            print(json.dumps(call), file=lines[0], flush=True)
            answers = (line for line in lines[1] if line.startswith("answer "))
            error = json.loads(next(answers, 'answer "the process ended"').removeprefix("answer "))
            assert not error, error

        yield run


ONE_OF_EACH_CLASS = [
    *("MAML on images", "FOMAML + ANIL + Meta-SGD", "Reptile, minibatches", "ANML on images", "meta network"),
    *("memory fusion", "prototypes of images", "matching in full context", "siamese on images", "ridge on images"),
    *("CNP", "NP", "ANP", "hypernetwork of an MLP", "SNAIL, regression", "LSTM meta-learner, exact"),
    *("learned optimizer, exact", "VSML", "multi-task on images", "in context", "plain network with batch norm", "DKT"),
]


def shorter(names: Collection[str], quick: set[str]) -> list[Any]:
    """Return the names as parameters of a test that is long for all but the quick ones."""
    assert quick <= set(names)
    return [pytest.param(name, marks=() if name in quick else pytest.mark.long) for name in names]


def test_each_class_of_learners_is_compiled() -> None:
    classes = [{type(COMPILED[name].make()) for name in names} for names in (ONE_OF_EACH_CLASS, COMPILED)]
    assert classes[0] == classes[1] and len(classes[0]) == 21


@pytest.mark.slow
@pytest.mark.parametrize("name", shorter(ONE_OF_EACH_CLASS, {"MAML on images", "ANP", "prototypes of images"}))
def test_the_meta_gradient_is_one_graph(name: str, elsewhere: Callable[[str], None]) -> None:
    """Trace the whole graph and run it without code generation, which needs no C++ compiler."""
    elsewhere(f"compiles({name!r}, backend='eager')")


@pytest.mark.slow
@pytest.mark.parametrize("name", shorter(IN_PIECES, {"ANIL, balanced soft tree"}))
def test_what_is_not_one_graph_is_exempt_for_a_reason_that_holds(name: str, elsewhere: Callable[[str], None]) -> None:
    call = f"from mapsto.training import meta_gradient\nof, b = TRACED[{name!r}].make(), TRACED[{name!r}].batch()\n"
    call += "meta_gradient(of, compile=True)({n: p.detach() for n, p in of.named_parameters()}, b)"
    with pytest.raises(AssertionError, match="compile: the learner is not one graph"):
        elsewhere(call)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU: none found (g++)"
)
@pytest.mark.parametrize("name", shorter(["MAML", "prototypes"], set()))
def test_the_compiled_meta_gradient_is_the_eager_one(name: str, elsewhere: Callable[[str], None]) -> None:
    elsewhere(f"compiles({name!r}, backend='inductor')")


def compiles(name: str, backend: str) -> None:
    torch.manual_seed(0)
    row = COMPILED[name]
    learner, batch = row.make().float(), to(row.batch(), torch.float32)
    params = {name: p.detach() for name, p in learner.named_parameters()}
    expected, (loss, _) = outer_gradient(learner)(params, batch)
    got, (compiled_loss, _) = torch.compile(outer_gradient(learner), fullgraph=True, backend=backend)(params, batch)
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def room(which: Tensor, like: Tensor) -> Tensor:
    return which.view(-1, *[1] * (like.dim() - 1))


def answer(learner: Learner, support: Examples, episode: Episode) -> Tensor:
    return learner.predict(learner.adapt(support), episode.query.x)


def through_adaptation(learner: Learner, episode: Episode) -> Callable[[dict[str, Tensor]], Tensor]:
    """Return the loss as a function of parts of the support set."""
    return lambda moved: learner.loss(episode._replace(support=episode.support._replace(**moved)))[0]


def slopes(
    loss: Callable[[dict[str, Tensor]], Tensor], at: dict[str, Tensor], step: float = 1e-6, only: Tensor | float = 1.0
) -> None:
    """Compare the gradient of `loss` with central finite differences along three random directions, `only` so far."""
    gradient = grad(loss)(at)
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        move = {name: only * torch.randn(t.shape, generator=g, dtype=t.dtype) for name, t in at.items()}
        expected = (loss(moved(at, move, step)) - loss(moved(at, move, -step))) / (2 * step)
        assert expected.abs() > 1e-5
        got = sum((gradient[name] * move[name]).sum() for name in at)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-9)


def moved(at: dict[str, Tensor], move: dict[str, Tensor], by: float) -> dict[str, Tensor]:
    return {name: t + by * move[name] for name, t in at.items()}
