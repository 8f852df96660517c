"""Moments and scaling of channels: their own derivatives against autograd's of the plain formula."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import vjp

from mapsto.adaptation import channels, normalisation

SHAPES = [(5, 3), (5, 3, 4), (5, 3, 2, 3)]
WEIGHTS = [None, torch.tensor([0.1, 0.4, 0.0, 0.2, 0.1], dtype=torch.float64)]


@pytest.fixture(autouse=True)
def several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_AT_ONCE", 40)


def images(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    x = 2 + torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last) if x.dim() == 4 else x


def plain(x: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor]:
    w = torch.ones(len(x), dtype=x.dtype) if w is None else w
    rows = x.transpose(0, 1).flatten(2) if x.dim() > 2 else x.T[..., None]  # [c, n, p]
    mean = (w @ rows.mean(2).T) / w.sum()
    return mean, w @ (rows - mean[:, None, None]).square().mean(2).T / w.sum()


def slopes(run: Callable[..., tuple[Tensor, ...]], *inputs: Tensor) -> list[Tensor]:
    """Return the outputs, and the first and second derivatives along fixed random directions."""
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    outputs = run(*inputs)
    along = [images(tuple(o.shape), seed).requires_grad_() for seed, o in enumerate(outputs, 1)]
    first = torch.autograd.grad(outputs, inputs, along, create_graph=True)
    length = sum((g * images(tuple(g.shape), 9)).sum() for g in first)
    return [*outputs, *first, *torch.autograd.grad(length, [*inputs, *along], materialize_grads=True)]


@pytest.mark.parametrize("w", WEIGHTS, ids=["equal", "weights"])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_have_the_values_and_derivatives_of_their_formula(shape: tuple[int, ...], w: Tensor | None) -> None:
    weights = () if w is None else (w,)
    got = slopes(lambda x, *w: normalisation.moments(x, *w), images(shape), *weights)
    expected = slopes(lambda x, *w: plain(x, w[0] if w else None), images(shape), *weights)
    assert min(slope.abs().max() for slope in expected) > 1e-3
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_scaling_has_the_derivatives_of_its_values(shape: tuple[int, ...]) -> None:
    x, scale, shift = (images(s, i).requires_grad_() for i, s in enumerate([shape, (3,), (3,)]))
    by_channel = (-1, *(1,) * (len(shape) - 2))
    got, expected = channels.scaled(x, scale, shift), x * scale.view(by_channel) + shift.view(by_channel)
    torch.testing.assert_close(got, expected)
    assert gradcheck(channels.scaled, (x, scale, shift)) and gradgradcheck(channels.scaled, (x, scale, shift))


@pytest.mark.parametrize("w", WEIGHTS, ids=["equal", "weights"])
def test_transforms_and_forward_mode_give_the_same_derivatives(w: Tensor | None) -> None:
    x, u = images((5, 3, 2, 3)), images((5, 3, 2, 3), 1)

    def run(x: Tensor) -> Tensor:
        return channels.scaled(x, *normalisation.moments(x, w)).sin()

    leaf = x.clone().requires_grad_()
    by_autograd = torch.autograd.grad(run(leaf), leaf, u)[0]
    torch.testing.assert_close(vjp(run, x)[1](u)[0], by_autograd)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(run(forward_ad.make_dual(x, u))).tangent
    torch.testing.assert_close((tangent * u).sum(), (by_autograd * u).sum())


def test_images_without_pixels_have_no_moments() -> None:
    assert all(moment.isnan().all() for moment in channels.moments(torch.zeros(3, 3, 0, 2), torch.tensor(1 / 3)))
