"""MetaGAN: both gradients by formula, their opposite wants, and wrong min-maxes that are caught."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

import mapsto as mt
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML, Learner, MetaGAN, PrototypicalNetwork
from mapsto.learners import metagan as module
from mapsto.learners.metagan import TaskGenerator
from mapsto.models import MLP
from mapsto.tasks import WithNoise

WAYS, D, LATENT, FAKES, NOISE = 3, 2, 3, 4, 6


def episode() -> Episode:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 9, D, generator=g).double()
    w = 0.1 + torch.rand(2, 9, generator=g).double() / 9
    y = torch.arange(9) % WAYS
    noise = torch.randn(NOISE, LATENT, generator=g).double()
    return Episode(Examples(x[0], y, w[0]), Examples(x[1], y, w[1]), noise=noise)


def generator(**other: Any) -> TaskGenerator:
    encoder, decoder = MLP(D, 4, 2, activation="tanh"), MLP(LATENT + 2, 5, D, activation="tanh")
    return TaskGenerator(encoder, decoder, **{"latent": LATENT, "fakes": FAKES, **other})


def gan(kind: type[MetaGAN] = MetaGAN, on: str = "prototypes") -> MetaGAN:
    torch.manual_seed(0)
    learner: Learner = PrototypicalNetwork(nn.Linear(D, 3, bias=False), WAYS + 1)
    if on == "maml":
        learner = MAML(MLP(D, 5, WAYS + 1, activation="tanh"), lr=0.4, steps=2)
    return kind(learner, generator(), WAYS).double()


def slopes(of: MetaGAN) -> dict[str, Tensor]:
    params = {name: p.detach() for name, p in of.named_parameters()}
    return grad(lambda p: functional_call(of, p, (episode(),))[0])(params)


# the formula, one player at a time, in plain autograd


def prototypes(of: MetaGAN, task: Episode) -> tuple[Tensor, Tensor]:
    """Return the class means, that of the fakes last, and the fakes of the query set."""
    made, support = of.generator, task.support
    h = (support.w[:, None] * made.encoder(support.x)).sum(0) / support.w.sum()
    fakes = [made.decoder(torch.cat([z, h.expand(len(z), -1)], 1)) for z in (made.codes, task.noise)]
    f = of.learner.body(support.x)
    means = [(support.w[:, None] * f)[support.y == k].sum(0) / support.w[support.y == k].sum() for k in range(WAYS)]
    return torch.stack([*means, of.learner.body(fakes[0].detach()).mean(0)]), fakes[1]


def log_p(of: MetaGAN, means: Tensor, x: Tensor) -> Tensor:
    return (-(of.learner.body(x)[:, None] - means).square().sum(-1)).log_softmax(-1)


def for_the_learner(of: MetaGAN, task: Episode) -> Tensor:
    means, fakes = prototypes(of, task)
    v = task.query.w.sum() / NOISE
    real = -(task.query.w * log_p(of, means, task.query.x)[range(9), task.query.y]).sum()
    return real - v * log_p(of, means, fakes.detach())[:, WAYS].sum()


def for_the_generator(of: MetaGAN, task: Episode) -> Tensor:
    means, fakes = prototypes(of, task)
    p = log_p(of, means.detach(), fakes)
    return -task.query.w.sum() / NOISE * (1 - p[:, WAYS].exp()).log().sum()


def each_plays_its_game(of: MetaGAN) -> None:
    """Expect each player's gradient to be that of its own loss, the other being held fixed."""
    task, got = episode(), slopes(of)
    players = {"learner.": for_the_learner(of, task), "generator.": for_the_generator(of, task)}
    torch.testing.assert_close(of.loss(task)[0], sum(players.values()))
    for prefix, loss in players.items():
        names = [name for name, _ in of.named_parameters() if name.startswith(prefix)]
        expected = torch.autograd.grad(loss, [of.get_parameter(name) for name in names])
        for name, slope in zip(names, expected, strict=True):
            assert slope.norm() > 1e-5, name
            torch.testing.assert_close(got[name], slope, rtol=1e-9, atol=1e-12)


def test_each_player_descends_its_own_loss() -> None:
    each_plays_its_game(gan())


class Cooperates(MetaGAN):
    """Lets the generator help to tell its fakes apart."""

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        loss, metrics = super().loss(episode)
        fakes = self.generator(episode.support, episode.noise)
        leak = self._scores(self.adapt(episode.support), fakes)[:, WAYS].mean()
        return loss + leak - leak.detach(), metrics


@pytest.mark.parametrize("kind", ["generator helps", "learner is fooled", "support fakes teach"])
def test_a_leak_between_the_players_is_caught(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = gan(Cooperates) if kind == "generator helps" else gan()
    if kind == "learner is fooled":  # the generator's loss reaches the learner
        monkeypatch.setattr(module, "_constants", lambda network, prefix="": {})
    if kind == "support fakes teach":  # the learner's loss reaches the generator through what it adapts to
        frozen = module._constants
        monkeypatch.setattr(module, "_constants", lambda network, prefix="": frozen(network, prefix) if prefix else {})
    with pytest.raises(AssertionError):
        each_plays_its_game(of)


def test_the_generators_gradient_is_its_hand_derived_formula() -> None:
    """At prototypes c: Σ_fakes v·Σ_k (p_k − q_k)·(−2)(f − c_k) [z, h]ᵀ, q being p among the true classes."""
    torch.manual_seed(1)
    made = TaskGenerator(nn.Identity(), nn.Linear(LATENT + D, D, bias=False), LATENT, FAKES)
    of, task = MetaGAN(PrototypicalNetwork(nn.Identity(), WAYS + 1), made, WAYS).double(), episode()
    h = task.support.w @ task.support.x / task.support.w.sum()
    inputs = torch.cat([task.noise, h.expand(NOISE, -1)], 1)
    decoder = made.decoder.weight.detach()
    fakes = inputs @ decoder.T
    c = of.adapt(task.support).means.detach()
    expected = torch.zeros_like(decoder)
    for f, given in zip(fakes, inputs, strict=True):
        e = (-(f - c).square().sum(1)).exp()
        p, q = e / e.sum(), torch.cat([e[:WAYS] / e[:WAYS].sum(), torch.zeros(1).double()])
        expected += torch.outer(-2 * ((p - q)[:, None] * (f - c)).sum(0), given) * task.query.w.sum() / NOISE
    assert expected.norm() > 0.01
    torch.testing.assert_close(slopes(of)["generator.decoder.weight"], expected, rtol=1e-9, atol=1e-12)


def players_are_opposed(of: MetaGAN) -> None:
    """Expect a fake that moves to change −log p(fake) and −log p(true) as −(1 − p) to p, p being p(fake)."""
    task, z = episode(), torch.randn(1, LATENT, generator=torch.Generator().manual_seed(3)).double()
    told = [of.loss(task._replace(noise=moved))[1] for moved in (z - 1e-5, z, z + 1e-5)]
    learner, player = (float(told[2][name] - told[0][name]) for name in ("learner_loss", "generator_loss"))
    passed = float(told[1]["passed"])
    assert abs(player) > 1e-7 and 0.05 < passed < 0.95
    assert learner == pytest.approx(-player * passed / (1 - passed), rel=1e-4)


@pytest.mark.parametrize("on", ["prototypes", "maml"])
def test_the_players_want_opposite_things_of_the_same_fakes(on: str) -> None:
    players_are_opposed(gan(on=on))


def recognised(scores: Tensor, ways: int) -> Tensor:
    return scores.log_softmax(-1)[:, ways]


def passing_for_one_class(scores: Tensor, ways: int) -> Tensor:
    return scores.log_softmax(-1)[:, 0]


@pytest.mark.parametrize("wants", [recognised, passing_for_one_class])
def test_a_generator_that_wants_something_else_is_caught(wants: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_passing", wants)
    with pytest.raises(AssertionError):
        players_are_opposed(gan())


@pytest.mark.parametrize("on", ["prototypes", "maml"])
def test_a_players_step_is_one_down_its_own_loss(on: str) -> None:
    """Expect the generator's step to make more fakes pass in the learner it played, the learner's to lower its loss.

    That step may let more fakes pass, where the classes gain by it: the fakes are a class beside theirs.
    """
    of, task = gan(on=on), episode()
    step, state, before = slopes(of), of.adapt(task.support), of.loss(task)[1]
    with torch.no_grad():
        for name, p in of.named_parameters():
            p -= 0.01 * step[name] * name.startswith("generator.")
        scores = of._scores(state, of.generator(task.support, task.noise))
        assert scores.softmax(-1)[:, :WAYS].sum(-1).log().sum() > -before["generator_loss"] * NOISE / task.query.w.sum()
        assert (1 - scores.softmax(-1)[:, WAYS]).mean() > before["passed"]
    of = gan(on=on)
    with torch.no_grad():
        for name, p in of.named_parameters():
            p -= 0.01 * step[name] * name.startswith("learner.")
    assert of.loss(task)[1]["learner_loss"] < before["learner_loss"]


def test_maml_adapts_to_the_fakes_as_to_a_class_more() -> None:
    of, task = gan(on="maml"), episode()
    fakes = of.generator(task.support, of.generator.codes)
    w = torch.full((FAKES,), float(task.support.w.sum()) / WAYS / FAKES).double()
    support = Examples(
        torch.cat([task.support.x, fakes]), torch.cat([task.support.y, torch.full((FAKES,), WAYS)]),
        torch.cat([task.support.w, w]),
    )  # fmt: skip
    expected = of.learner.predict(of.learner.adapt(support), task.query.x)[:, :WAYS]
    torch.testing.assert_close(of.predict(of.adapt(task.support), task.query.x), expected)


def test_views_through_adaptation_see_what_the_support_set_does_to_its_fakes() -> None:
    of, task = gan(), episode()

    def answer(x: Tensor) -> Tensor:
        return of.predict(of.adapt(task.support._replace(x=x)), task.query.x).softmax(-1)[0, 0]

    direction = torch.randn(9, D, generator=torch.Generator().manual_seed(1)).double()
    x = task.support.x
    expected = (answer(x + 1e-5 * direction) - answer(x - 1e-5 * direction)) / 2e-5
    assert expected.abs() > 1e-4
    torch.testing.assert_close((grad(answer)(x) * direction).sum(), expected, rtol=1e-6, atol=1e-9)


def clusters() -> WithNoise:
    """Make tasks of points around thirty places on a line, three of them a task; the other coordinate tells nothing."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(30).repeat_interleave(12)
    where = torch.linspace(-4, 4, 30)[torch.randperm(30, generator=g)][y] + 0.1 * torch.randn(360, generator=g)
    x = torch.stack([where, 4 * torch.randn(360, generator=g)], 1)
    tasks = mt.tasks.Arrays(x.numpy(), y.numpy(), ways=WAYS, shots=2, queries=4, splits=(0.4, 0.2, 0.4))
    return WithNoise(tasks, (NOISE, LATENT))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("on", ["prototypes", "maml"])
def test_training_moves_both_and_teaches_the_classes(on: str) -> None:
    """Over four seeds accuracy goes from .45 to .57 before training to .67 and more, by .18 at least."""
    torch.manual_seed(0)
    learner: Learner = PrototypicalNetwork(MLP(D, 16, 8, activation="tanh"), WAYS + 1)
    if on == "maml":
        learner = MAML(MLP(D, 16, WAYS + 1, activation="tanh"), lr=0.4, steps=2)
    of, tasks = MetaGAN(learner, generator(), WAYS), clusters()
    before = {name: p.detach().clone() for name, p in of.named_parameters()}
    start = mt.evaluate(of, tasks.tasks.test, episodes=100).accuracy.mean
    for step in mt.train(of, tasks, steps=300, batch=8, lr=0.01):  # noqa: B007
        pass
    assert all((p.detach() - before[name]).norm() > 1e-3 for name, p in of.named_parameters())
    assert 0.02 < step.metrics["passed"] < 0.98  # neither has won
    assert start < 0.6 and mt.evaluate(of, tasks.tasks.test, episodes=100).accuracy.mean > start + 0.1


def test_noise_comes_with_the_task_and_again_the_same() -> None:
    tasks = clusters()
    batch = tasks.batch(0, 5)
    assert batch.noise.shape == (5, NOISE, LATENT) and abs(float(batch.noise.std()) - 1) < 0.3
    assert torch.equal(batch.noise, tasks.batch(0, 5).noise) and not torch.equal(batch.noise, tasks.batch(1, 5).noise)
    assert torch.equal(batch.support.x, tasks.tasks.batch(0, 5).support.x)
    assert not torch.equal(tasks.test.batch(0, 5).support.x, batch.support.x)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: generator(latent=0), "^latent: "),
        (lambda: generator(fakes=0), "^fakes: "),
        (lambda: MetaGAN(PrototypicalNetwork(nn.Identity(), 4), generator(), 0), "^ways: "),
        (lambda: MetaGAN(MAML(MLP(2, 1), loss="mse"), generator(), 3), "^learner: "),
        (
            lambda: MetaGAN(PrototypicalNetwork(nn.Identity(), WAYS), generator(), WAYS).double().loss(episode()),
            "^learner: ",
        ),
        (
            lambda: MetaGAN(MAML(MLP(D, WAYS + 2)), generator(), WAYS).double().loss(episode()),
            "^learner: ",
        ),
        (lambda: gan().loss(episode()._replace(noise=None)), "^noise: "),
        (lambda: gan().loss(episode()._replace(noise=torch.zeros(2, 9).double())), "^noise: "),
        (
            lambda: TaskGenerator(nn.Identity(), MLP(4, 5), 2)(
                examples(torch.zeros(1, 2), torch.zeros(1)), torch.ones(1, 2)
            ),
            "^decoder: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()


def test_a_class_that_would_be_taken_for_fakes_is_refused() -> None:
    generator = TaskGenerator(MLP(2, 3), MLP(5, 2), latent=2)
    gan = MetaGAN(PrototypicalNetwork(MLP(2, 4), 3), generator, ways=2)
    with pytest.raises(MapstoError, match=r"^y: got class 2"):
        gan.adapt(examples(torch.randn(3, 2), torch.arange(3)))
