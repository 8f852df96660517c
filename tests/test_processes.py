"""Neural processes beside closed forms, brute force and an independent library of distributions."""

import argparse
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

import mapsto as mt
from mapsto.episodes import Episode, Examples, over_tasks, unstack
from mapsto.errors import MapstoError
from mapsto.learners import ANP, CNP, NP, process
from mapsto.measures import log_likelihoods
from mapsto.models import MLP, KernelAttention
from mapsto.tasks import GaussianProcesses, WithNoise


def episode(draws: int = 3, latents: int = 2, index: int = 0) -> Episode:
    tasks = WithNoise(GaussianProcesses(shots=(2, 6), queries=4), (draws, latents))
    one = unstack(tasks.batch(index, 1))[0]
    real = ((part, (part.w > 0).double()) for part in one[:2])
    parts = (Examples(part.x.double(), part.y.double(), w / w.sum()) for part, w in real)
    return Episode(*parts, noise=one.noise.double())


class Reads(nn.Module):
    """A decoder by hand: mean = x + Σ slopes·rest, raw deviation = a constant."""

    def __init__(self, *slopes: float, raw: float = 0.3):
        super().__init__()
        self.raw, self.slopes = raw, nn.Parameter(torch.tensor(slopes).double())

    def forward(self, rows: Tensor) -> Tensor:
        mean = rows[:, :1] + rows[:, 1:] @ self.slopes[:, None]
        return torch.cat([mean, torch.full_like(mean, self.raw)], -1)


def test_the_conditional_process_is_its_formula():
    one, learner = episode(), CNP(nn.Identity(), Reads(0.5, 2.0), min_std=0.1)
    w = one.support.w
    mean = (torch.stack([one.support.x, one.support.y], 1)[..., 0] * w[:, None]).sum(0) / w.sum()
    expected = Normal(one.query.x + 0.5 * mean[0] + 2 * mean[1], 0.1 + 0.9 * math.log1p(math.exp(0.3)))
    torch.testing.assert_close(learner.predict(learner.adapt(one.support), one.query.x), expected.mean)
    torch.testing.assert_close(learner.log_likelihood(one), expected.log_prob(one.query.y)[:, 0])
    torch.testing.assert_close(learner.loss(one)[0], -expected.log_prob(one.query.y).mean())


SLOPES = torch.tensor([0.5, -1.25]).double()


def linear_process(kind: type[NP] = NP) -> NP:
    """A process whose decoder is linear in a latent of two numbers, so that its marginals have a closed form."""
    torch.manual_seed(0)
    return kind(nn.Linear(2, 4).double(), Reads(*SLOPES, raw=0.5), min_std=0.05)


def law_marginal(kind: type[NP]) -> None:
    """y = x + a·z + ε with z normal is normal: mean x + a·E z, variance std² + Σ a²·Var z."""
    learner, one = linear_process(kind), episode(draws=200_000)
    latent, slopes = learner.adapt(one.support), SLOPES
    std = 0.05 + 0.95 * math.log1p(math.exp(0.5))
    exact = Normal(one.query.x + latent.mean @ slopes, (std**2 + latent.std.square() @ slopes.square()).sqrt())
    expected = exact.log_prob(one.query.y)[:, 0]
    torch.testing.assert_close(learner.log_likelihood(one), expected, rtol=0, atol=0.03)


def law_evidence_bound(kind: type[NP]) -> None:
    """The loss is minus a target's share of the evidence bound, by torch.distributions; and it is a bound."""
    learner, one = linear_process(kind), episode(draws=4_000)
    real = one.support.w > 0
    rows = torch.cat([torch.cat(part[:2], -1) for part in (Examples(*(leaf[real] for leaf in one.support)), one.query)])
    q, p = (Normal(r[:2], 0.1 + 0.9 * r[2:].sigmoid())
            for r in (learner.encoder(rows).mean(0), learner.encoder(rows[: int(real.sum())]).mean(0)))  # fmt: skip
    z = q.mean + q.stddev * one.noise
    mean = one.query.x[:, 0] + (z @ SLOPES)[:, None]  # [s, m]
    told = Normal(mean, 0.05 + 0.95 * math.log1p(math.exp(0.5))).log_prob(one.query.y[:, 0])
    bound = told.sum(1).mean() - kl_divergence(q, p).sum()
    torch.testing.assert_close(-learner.loss(one)[0], bound / len(one.query.y), rtol=1e-9, atol=1e-9)
    prior = p.mean + p.stddev * one.noise
    mean = one.query.x[:, 0] + (prior @ SLOPES)[:, None]
    joint = Normal(mean, 0.05 + 0.95 * math.log1p(math.exp(0.5))).log_prob(one.query.y[:, 0]).sum(1)
    assert bound < joint.logsumexp(0) - math.log(4_000)  # log p(y | x, D), all targets together


class IgnoresSpread(NP):
    """Takes the latent at its mean, whatever was drawn."""

    def _decoded(self, state, episode, latent):
        return super()._decoded(state, episode._replace(noise=0 * episode.noise), latent)


class ReversesDivergence(NP):
    """Takes KL(prior ‖ posterior)."""

    def adapt(self, support):
        return process.Normal(*self.latent(support))

    def latent(self, context):
        class Reversed(process.Normal):
            def divergence(self, other):
                return process.Normal.divergence(other, self)

        return Reversed(*super().latent(context))


@pytest.mark.parametrize(("law", "mutant"), [(law_marginal, IgnoresSpread), (law_evidence_bound, ReversesDivergence)])
def test_the_latent_process_has_its_closed_forms(law, mutant, unchecked):
    law(NP)
    with pytest.raises(AssertionError):
        law(mutant)


def test_equal_weights_count_each_example_of_context_and_targets_once():
    torch.testing.assert_close(process.counts(torch.tensor([0.25, 0.0, 0.25])), torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(process.counts(torch.zeros(3)), torch.zeros(3))
    assert float(process.counts(torch.tensor([3.0, 1.0])).sum()) == pytest.approx(1.6)  # Kish: 4² / 10


# --- attention --------------------------------------------------------------------------------------------------------


def law_attention(attention: KernelAttention) -> None:
    """One layer, point by point and head by head, in loops."""
    torch.manual_seed(1)
    x, y, at = torch.randn(5, 2).double(), torch.randn(5, 1).double(), torch.randn(2, 2).double()
    w = torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0]).double()
    (layer,) = attention.layers
    known = attention.point(torch.cat([x, y, torch.ones(5, 1).double()], -1))
    values = layer.value(layer.norm(known)).view(5, 3, 4)  # [n, h, e], the second half sloped
    rows = []
    for point in at:
        heads = []
        for h in range(3):
            offset = (x - point) * layer.log_scale[h].exp()
            near = w * (-(offset**2).sum(1) / 2).exp()
            mass = near.sum() + layer.log_null[h].exp()
            here = sum(near[i] / mass * values[i, h, :2] for i in range(5))
            along = sum(near[i] / mass * (offset[i] @ layer.direction[h]) * values[i, h, 2:] for i in range(5))
            heads.append(torch.cat([here, along, mass.log()[None]]))
        before = attention.point(torch.cat([point, torch.zeros(2).double()])) + layer.out(torch.cat(heads))
        rows.append(attention.norm(before + layer.mlp(layer.mlp_norm(before))))
    torch.testing.assert_close(attention(at, attention.remember(x, y, w)), torch.stack(rows))


def test_attention_is_a_kernel_smoother_by_head(monkeypatch):
    torch.manual_seed(0)
    attention = KernelAttention(features=2, targets=1, width=6, depth=1, heads=3).double()
    law_attention(attention)
    remember = KernelAttention.remember
    monkeypatch.setattr(KernelAttention, "remember", lambda self, x, y, w: remember(self, x, y, (w > 0).double()))
    with pytest.raises(AssertionError):
        law_attention(attention)


def test_attention_far_from_all_that_is_known_is_the_prior_and_near_it_is_not():
    torch.manual_seed(0)
    attention = KernelAttention(width=8, depth=3, heads=2).double()
    x, y = torch.randn(6, 1).double(), torch.randn(6, 1).double()
    at = torch.tensor([[500.0], [0.1]]).double()
    known, unknown = attention.remember(x, y, torch.ones(6).double()), attention.remember(x, y, torch.zeros(6).double())
    told, prior = attention(at, known), attention(at, unknown)
    torch.testing.assert_close(told[0], prior[0])
    assert not torch.allclose(told[1], prior[1], atol=1e-3)


# --- what training does -----------------------------------------------------------------------------------------------


def processes(latents: int = 4) -> dict[str, process.Process]:
    torch.manual_seed(0)
    return {
        "CNP": CNP(MLP(2, 32, 32, activation="silu"), MLP(33, 32, 2, activation="silu")),
        "NP": NP(MLP(2, 32, 2 * latents, activation="silu"), MLP(1 + latents, 32, 2, activation="silu")),
        "ANP": ANP(KernelAttention(width=16, depth=2, heads=4, scales=(0.5, 6.0)),
                   MLP(2, 16, 2 * latents, activation="silu"), MLP(17 + latents, 32, 2, activation="silu")),
    }  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["CNP", "NP", "ANP"])
def test_training_raises_the_likelihood_and_none_exceeds_the_exact_posterior(name):
    learner, tasks = processes()[name], GaussianProcesses(shots=(3, 20), queries=20, noise=0.1)
    noisy = WithNoise(tasks, (2, 4))
    before = log_likelihoods(learner, noisy.test, episodes=40)
    for _ in mt.train(learner, noisy, steps=150, batch=8, lr=5e-3, clip=1.0):
        pass
    after = log_likelihoods(learner, noisy.test, episodes=40)
    exact = torch.cat([tasks.test.log_likelihood(i, n).mean(1) for i, n in enumerate((25, 15))]).numpy()
    assert after.shape == (40,) and after.mean() > before.mean() + 0.1
    assert mt.measures.estimate(exact - after).mean > 0
    found = mt.evaluate(learner, tasks.test, episodes=40)  # a point prediction needs no noise
    assert isinstance(found, mt.measures.evaluation.evaluate.Regression) and 0 < found.mse.mean < 2


def test_the_mean_over_tasks_weighs_each_query_by_its_share():
    learner, tasks = processes()["CNP"], GaussianProcesses(shots=4, queries=3)

    class Weighed:
        def batch(self, index, count, seed=0):
            drawn = tasks.batch(index, count, seed)
            return drawn._replace(query=drawn.query._replace(w=torch.tensor([0.2, 0.6, 0.0]).expand(count, 3)))

    found = log_likelihoods(learner, Weighed(), episodes=3, batch=2)
    points = over_tasks(learner.log_likelihood)(tasks.batch(0, 3))
    np.testing.assert_allclose(found, (0.25 * points[:, 0] + 0.75 * points[:, 1]).detach(), rtol=1e-5)


def test_the_deviation_never_falls_below_its_bound():
    learner, one = CNP(nn.Identity(), Reads(0.5, 2.0, raw=-60.0), min_std=0.02), episode()
    std = learner.distribution(learner.adapt(one.support), one.query.x).std
    torch.testing.assert_close(std, torch.full_like(std, 0.02))


def test_a_benchmark_keeps_the_measures_of_each_test_apart():
    spec = importlib.util.spec_from_file_location("processes", Path(__file__).parents[1] / "benchmarks/processes.py")
    spec.loader.exec_module(bench := importlib.util.module_from_spec(spec))
    run, names = Path("runs/ANP-rbf-0.5-minutes-0"), []
    for episodes, draws in ((2_000, 64), (2_000, 8), (100, 64)):
        names.append(bench.result(run, argparse.Namespace(episodes=episodes, draws=draws)).name)
    assert names[0] == f"{run.name}.json" and len(set(names)) == 3


# --- bad input --------------------------------------------------------------------------------------------------------

NORM = nn.BatchNorm1d(2, track_running_stats=False)


def odd(encoder: int = 4, decoder: int = 2) -> NP:
    return NP(nn.Linear(2, encoder), nn.Linear(3, decoder)).double()


def wider(targets: int) -> Episode:
    one = episode()
    return one._replace(query=one.query._replace(y=one.query.y.expand(-1, 3)[:, :targets]))


def flat() -> Episode:
    one = episode()
    return one._replace(query=one.query._replace(y=one.query.y[:, 0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CNP(NORM, Reads(1.0)), "^encoder: "),
        (lambda: CNP(nn.Identity(), NORM), "^decoder: "),
        (lambda: NP(nn.Identity(), NORM), "^decoder: "),
        (lambda: ANP(NORM, nn.Identity(), nn.Identity()), "^attention: "),
        (lambda: CNP(nn.Identity(), nn.Identity(), min_std=0.0), "^min_std: "),
        (lambda: CNP(nn.Identity(), nn.Identity(), min_std=1.0), "^min_std: "),
        (lambda: KernelAttention(width=10, heads=4), "^width: "),
        (lambda: KernelAttention(scales=(0.0, 1.0)), "^scales: "),
        (lambda: KernelAttention(scales=(-1.0, 1.0)), "^scales: "),
        (lambda: ANP(nn.Linear(2, 3), nn.Identity(), nn.Identity()), "^attention: "),
        (lambda: linear_process().loss(episode()._replace(noise=None)), "^noise: "),
        (lambda: linear_process().loss(episode(latents=5)), "^noise: "),
        (lambda: odd(encoder=3).loss(episode()), "^encoder: "),
        (lambda: odd(decoder=3).loss(episode()), "^decoder: "),
        (
            lambda: CNP(nn.Identity(), Reads(1, 1)).loss(wider(3)),
            "^y: ",
        ),
        (lambda: linear_process().log_likelihood(wider(0)), "^y: "),
        (lambda: CNP(nn.Identity(), Reads(1, 1)).loss(flat()), "^y: "),
    ],
)
def test_what_is_no_process_is_refused(build, message, unchecked):
    with pytest.raises(MapstoError, match=message):
        build()
