"""Draws of a Gaussian process have its covariance, and the exact posterior is that of two independent computations."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

import mapsto as mt
from mapsto.episodes import Episode, unstack
from mapsto.errors import MapstoError
from mapsto.tasks import gaussian_process
from mapsto.tasks.gaussian_process import GaussianProcesses
from mapsto.tasks.source import SPLITS

KERNELS = {"rbf": RBF, "matern52": lambda length: Matern(length, nu=2.5)}
both_kernels = pytest.mark.parametrize("kernel", KERNELS)


def real(episode: Episode) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(leaf[episode.support.w > 0].double() for leaf in episode.support[:2])


def law_covariance(tasks: GaussianProcesses, lengthscale: float) -> None:
    """The products of pairs of targets average to the kernel, to five standard errors in each of eight distances."""
    query = tasks.batch(0, 20_000).query
    distance = (query.x[:, 0] - query.x[:, 1]).abs()[:, 0].double()
    product = (query.y[:, 0] * query.y[:, 1])[:, 0].double()
    kernel = KERNELS[tasks.kernel](lengthscale)
    expected = torch.tensor([tasks.scale**2 * kernel([[0.0]], [[float(r)]])[0, 0] for r in distance])
    for low in (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0):
        near = (distance >= low) & (distance < 2 * low + 0.1)
        error = (product - expected)[near]
        assert error.mean().abs() < 5 * error.std() / math.sqrt(len(error)), low
    square = query.y[:, 0, 0].double().square()
    assert (square.mean() - tasks.scale**2 - tasks.noise**2).abs() < 5 * square.std() / math.sqrt(len(square))


@both_kernels
def test_draws_have_the_kernel_as_their_covariance(kernel):
    def make(lengthscale, scale=1.5):
        return GaussianProcesses(kernel, (lengthscale, lengthscale), scale, noise=0.3, shots=1, queries=2)

    law_covariance(make(0.5), 0.5)
    with pytest.raises(AssertionError):
        law_covariance(make(0.8), 0.5)


def test_another_kernel_breaks_the_law_of_covariance(monkeypatch):
    tasks = GaussianProcesses("rbf", (0.5, 0.5), noise=0.3, shots=1, queries=2)
    monkeypatch.setitem(gaussian_process.KERNELS, "rbf", lambda r: (-r).exp())
    with pytest.raises(AssertionError):
        law_covariance(tasks, 0.5)


def law_sklearn(tasks: GaussianProcesses) -> None:
    found, lengthscale = tasks.posterior(2, 4, seed=1), tasks.lengthscales(2, 4, seed=1)
    for i, episode in enumerate(unstack(tasks.batch(2, 4, seed=1))):
        kernel = ConstantKernel(tasks.scale**2) * KERNELS[tasks.kernel](float(lengthscale[i]))
        theirs = GaussianProcessRegressor(kernel, alpha=tasks.noise**2, optimizer=None).fit(*real(episode))
        mean, std = (torch.tensor(a) for a in theirs.predict(episode.query.x.double(), return_std=True))
        torch.testing.assert_close(found.mean[i, :, 0], mean.flatten(), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found.std[i, :, 0].square(), std.square() + tasks.noise**2, rtol=1e-6, atol=1e-7)


@both_kernels
def test_the_posterior_is_that_of_scikit_learn(kernel, monkeypatch):
    tasks = GaussianProcesses(kernel, scale=1.3, noise=0.1, shots=(2, 12), queries=7)
    law_sklearn(tasks)
    exact = gaussian_process.posterior
    monkeypatch.setattr(
        gaussian_process, "posterior", lambda s, x, k, length, *rest: exact(s, x, k, 1.1 * length, *rest)
    )
    with pytest.raises(AssertionError):
        law_sklearn(tasks)


@both_kernels
def test_the_log_likelihood_is_a_ratio_of_joint_densities(kernel):
    """log p(y* | y) = log N((y, y*); 0, K + noise² I) − log N(y; 0, K + noise² I), one target at a time."""
    tasks = GaussianProcesses(kernel, noise=0.1, shots=(1, 9), queries=4)
    found, lengthscale = tasks.log_likelihood(0, 3), tasks.lengthscales(0, 3)
    for i, episode in enumerate(unstack(tasks.batch(0, 3))):
        x, y = real(episode)
        theirs = KERNELS[kernel](float(lengthscale[i]))
        for j in range(4):
            joint = torch.cat([x, episode.query.x[j, None].double()]), torch.cat([y, episode.query.y[j, None].double()])
            k = theirs(joint[0]) + 0.1**2 * torch.eye(len(joint[0])).numpy()
            n = len(x)
            expected = multivariate_normal(cov=k).logpdf(joint[1][:, 0])
            expected -= multivariate_normal(cov=k[:n, :n]).logpdf(y[:, 0])
            assert abs(float(found[i, j]) - expected) < 1e-6


def test_the_true_lengthscale_predicts_best():
    tasks = GaussianProcesses(noise=0.05, shots=(5, 20), queries=20)
    batch = tasks.batch(0, 300)
    told = {}
    for factor in (0.7, 1.0, 1.4):
        lengthscale = factor * tasks.lengthscales(0, 300)
        found = gaussian_process.posterior(batch.support, batch.query.x, "rbf", lengthscale, 1.0, 0.05)
        told[factor] = found.log_likelihood(batch.query.y.double()).mean()
    assert told[1.0] > max(told[0.7], told[1.4]) + 0.01


def test_padding_is_absent_from_the_posterior():
    tasks = GaussianProcesses(noise=0.1, shots=(2, 12), queries=5)
    batch = tasks.batch(0, 4)
    loud = batch.support._replace(**{name: torch.where(batch.support.w[..., None] > 0, leaf, 7.0)
                                     for name, leaf in zip("xy", batch.support[:2], strict=True)})  # fmt: skip
    found = gaussian_process.posterior(loud, batch.query.x, "rbf", tasks.lengthscales(0, 4), 1.0, 0.1)
    torch.testing.assert_close(found, tasks.posterior(0, 4), rtol=0, atol=0)
    nothing = loud._replace(w=torch.zeros_like(loud.w))
    prior = gaussian_process.posterior(nothing, batch.query.x, "rbf", tasks.lengthscales(0, 4), 1.0, 0.1)
    assert (prior.mean == 0).all() and torch.allclose(prior.std, torch.tensor(1.01).double().sqrt())


def test_noise_comes_with_the_tasks_and_changes_nothing_else():
    tasks = GaussianProcesses(shots=3, queries=2)
    noisy = mt.tasks.WithNoise(tasks, (5, 2))
    for split in SPLITS:
        plain, drawn = tasks.of(split).batch(1, 400), noisy.of(split).batch(1, 400)
        assert torch.equal(plain.support.y, drawn.support.y) and torch.equal(plain.query.x, drawn.query.x)
        assert drawn.noise.shape == (400, 5, 2) and abs(float(drawn.noise.std()) - 1) < 0.05
    assert torch.equal(noisy.batch(1, 4).noise, noisy.batch(1, 4).noise)
    assert not torch.equal(noisy.batch(1, 4).noise, noisy.batch(2, 4).noise)


@pytest.mark.parametrize("split", SPLITS)
def test_noise_keeps_the_split_of_its_tasks(split: str) -> None:
    held = GaussianProcesses(shots=3, queries=2).of(split)
    noisy = mt.tasks.WithNoise(held, (5, 2))
    assert noisy.split == split and noisy.test.split == "test"
    assert torch.equal(noisy.batch(1, 4).query.y, held.batch(1, 4).query.y)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianProcesses("cosine"), "^kernel: "),
        (lambda: GaussianProcesses(lengthscale=(0.0, 1.0)), r"^lengthscale: got \(0.0, 1.0\)"),
        (lambda: GaussianProcesses(noise=0.0), "noise: got 0.0"),
        (lambda: GaussianProcesses(scale=-1.0), "scale: got -1.0"),
        (lambda: GaussianProcesses(span=(1.0, 1.0)), "span: got"),
        (lambda: GaussianProcesses(shots=0), "shots: got 0"),
        (lambda: GaussianProcesses(shots=2.5), "^shots: got 2.5"),
        (
            lambda: GaussianProcesses(shots=(1, 2, 3)),
            r"^shots: got \(1, 2, 3\)",
        ),
        (lambda: GaussianProcesses(queries=(3, 9)), r"^queries: got \(3, 9\)"),
        (lambda: mt.tasks.Linear(features=(2, 4)), r"^features: got \(2, 4\)"),
        (lambda: mt.tasks.Linear(queries=2.5), r"^queries: got 2.5"),
        (lambda: mt.tasks.WithNoise(GaussianProcesses(), 5), "^shape: got 5"),
        (lambda: mt.tasks.WithNoise(GaussianProcesses(), ()), r"shape: got \(\)"),
    ],
)
def test_what_is_no_process_is_refused(build, message, unchecked):
    with pytest.raises(MapstoError, match=message):
        build()


def test_inputs_and_lengthscales_fill_their_ranges() -> None:
    tasks = GaussianProcesses(lengthscale=(0.25, 0.5), span=(1.0, 3.0), shots=5, queries=5)
    x = torch.cat([part.x for part in tasks.batch(0, 200)[:2]], 1)
    for drawn, low, high in ((x, 1.0, 3.0), (tasks.lengthscales(0, 200), 0.25, 0.5)):
        margin = 0.05 * (high - low)
        assert low <= drawn.min() < low + margin and high - margin < drawn.max() <= high
        assert abs(drawn.mean() - (low + high) / 2) < margin
