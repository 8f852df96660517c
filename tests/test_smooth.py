"""Smooth against captum's NoiseTunnel on the same noise, and against what noise does to polynomials by hand."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient, IntegratedGradients, Shapley, Smooth
from mapsto.views import game

F64 = torch.float64
X = torch.tensor([0.7, -1.2, 0.4], dtype=F64)


def rough() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 2)).to(F64)
    for parameter in net.parameters():
        parameter.data = 1.5 * torch.randn(parameter.shape, generator=generator, dtype=F64)
    return net.requires_grad_(False)


NET = rough()


def pairs(samples: int, seed: int) -> Tensor:
    """The noise that the documentation promises: half drawn, half its mirror image."""
    drawn = torch.from_numpy(np.random.default_rng(seed).standard_normal((samples // 2, 3)))
    return torch.cat([drawn, -drawn])


def captums(method: captum.attr.Attribution, noise: Tensor, monkeypatch: pytest.MonkeyPatch, **told: object) -> Tensor:
    """NoiseTunnel's mean on this noise, for which it asks `torch.normal`."""
    asked: list[Tensor] = []

    def given(mean: object, std: Tensor) -> Tensor:
        asked.append(std)
        return noise

    tunnel = captum.attr.NoiseTunnel(method)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "normal", given)
        at = X[None].clone().requires_grad_()
        values = tunnel.attribute(at, nt_samples=len(noise), nt_type="smoothgrad", stdevs=0.3, target=1, **told)
    assert [std.shape for std in asked] == [noise.shape] and bool((asked[0] == 0.3).all())
    return values[0].detach()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Gradient(), captum.attr.Saliency),
        (InputXGradient(), captum.attr.InputXGradient),
        (IntegratedGradients(50), captum.attr.IntegratedGradients),
    ],
    ids=["gradient", "input-x-gradient", "integrated-gradients"],
)
def test_smooth_is_captums_noise_tunnel_on_the_same_noise(
    ours: Gradient, theirs: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = {"abs": False} if theirs is captum.attr.Saliency else {}
    expected = captums(theirs(NET), 0.3 * pairs(20, seed=3), monkeypatch, **signed)
    values = Smooth(ours, samples=20, noise=0.3, seed=3)(lambda x: NET(x)[1], X)
    plain = ours(lambda x: NET(x)[1], X)
    assert expected.std() > 0.1 and (expected - plain).abs().max() > 0.1  # noise matters here
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(Smooth(ours, 20, 0.3, seed=4)(lambda x: NET(x)[1], X), expected, rtol=0, atol=1e-6)


def test_noise_leaves_the_gradient_of_a_quadratic_view_alone() -> None:
    form = torch.tensor([[2.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 1.0]], dtype=F64)
    slopes = Smooth(Gradient(), samples=2, noise=5.0)(lambda x: x @ form @ x / 2, X)
    torch.testing.assert_close(slopes, form @ X)


def test_noise_adds_its_variance_to_the_gradient_of_a_cubic_view() -> None:
    # E 3(x + ε)² = 3x² + 3σ²
    sigma = torch.tensor([0.5, 0.0, 1.0], dtype=F64)
    slopes = Smooth(Gradient(), samples=20_000, noise=sigma)(lambda x: x.pow(3).sum(), X)
    error = slopes - 3 * (X.square() + sigma.square())
    assert error[1].abs() < 1e-12  # held still
    # ε² has standard deviation √2·σ²: three standard errors of 10,000 draws
    assert bool((error.abs() <= 3 * 3 * 2**0.5 * sigma.square() / 100 + 1e-12).all())
    few = Smooth(Gradient(), samples=2, noise=sigma)(lambda x: x.pow(3).sum(), X)
    assert (few - slopes).abs().max() > 0.01  # or the bound would be no bound


def test_a_method_that_plays_games_is_smoothed_too() -> None:
    def shapley(view, x):  # of a product: half of it each
        return Shapley()(game(view, x, baseline=0.0))

    noise = 0.3 * pairs(6, seed=1)
    expected = ((X + noise)[:, :2].prod(1) / 2).mean()
    values = Smooth(shapley, samples=6, noise=0.3, seed=1)(lambda x: x[0] * x[1], X)
    assert (expected - X[0] * X[1] / 2).abs() > 1e-3
    torch.testing.assert_close(values, torch.stack([expected, expected, torch.zeros((), dtype=F64)]))


def test_what_cannot_be_smoothed_is_refused() -> None:
    for samples in (0, 7, -2):
        with pytest.raises(MapstoError, match=f"samples: got {samples}"):
            Smooth(Gradient(), samples=samples)
    for noise in (-0.1, float("nan"), torch.tensor([0.1, -1.0])):
        with pytest.raises(MapstoError, match=r"noise: got .*"):
            Smooth(Gradient(), noise=noise)
    for shape in ((2,), (1, 3)):
        with pytest.raises(MapstoError, match=r"noise: got shape .*"):
            Smooth(Gradient(), noise=torch.ones(shape))(NET, X)
