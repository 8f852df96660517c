"""Batch norm by the support's statistics: against PyTorch's batch norm, and against repeating examples."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap
from torch.nn import functional as F

from mapsto.adaptation.normalisation import SupportNorm, moments, on_query, on_support, prepare, statistics_of
from mapsto.errors import MapstoError

SHAPES = [(6, 3), (6, 3, 5), (6, 3, 4, 5)]


def network() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.Sequential(nn.Conv2d(2, 3, 3), norm, nn.ReLU(), nn.Flatten()).double()


def images(n: int = 4, seed: int = 0) -> Tensor:
    return 2 + torch.randn(n, 2, 5, 5, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_alone_it_is_the_batch_norm_it_replaces(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, affine=affine, track_running_stats=False, eps=0.1).double()
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = 3 + torch.randn(shape).double()
    torch.testing.assert_close(SupportNorm(norm)(x), F.batch_norm(x, None, None, norm.weight, norm.bias, True, eps=0.1))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_weight_is_a_number_of_copies(shape: tuple[int, ...]) -> None:
    x, copies = torch.randn(shape).double(), torch.tensor([1, 3, 0, 2, 1, 1])
    mean, var = moments(x, copies.double() / 8)
    repeated = x.repeat_interleave(copies, 0).transpose(0, 1).flatten(1)  # [c, ·]
    torch.testing.assert_close(mean, repeated.mean(1))
    torch.testing.assert_close(var, repeated.var(1, correction=0))


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_weights_have_the_derivatives_of_pytorchs_batch_norm(shape: tuple[int, ...]) -> None:
    """The oracle is the kernel of torch, whose first and second derivatives are formulas of its own."""
    norm = nn.BatchNorm2d(3, track_running_stats=False).double()
    x, v, u = (torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(3))

    def slopes(run: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        along, first = vjp(lambda x: vjp(run, x)[1](v)[0], x)
        return along, first(u)[0], jvp(run, (x,), (u,))[1], vmap(run)(x.expand(2, *shape))[0]

    w = torch.full((shape[0],), 1 / shape[0], dtype=torch.float64)
    expected = slopes(lambda x: F.batch_norm(x, None, None, norm.weight, norm.bias, True))
    assert min(slope.abs().max() for slope in expected) > 1e-3
    torch.testing.assert_close(slopes(SupportNorm(norm)), expected)
    torch.testing.assert_close(slopes(lambda x: functional_call(SupportNorm(norm), {"w": w}, (x,))), expected)


def test_sums_over_many_pixels_keep_their_digits() -> None:
    """Torch's own batch norm loses one or two of them in this layout, where it adds up 58,800 pixels one by one."""
    x, v = (torch.randn(75, 28, 28, 64, generator=torch.Generator().manual_seed(i)).permute(0, 3, 1, 2) for i in (0, 1))
    norm = nn.BatchNorm2d(64, track_running_stats=False)

    def slope(norm: nn.BatchNorm2d, x: Tensor, v: Tensor) -> Tensor:
        return torch.autograd.grad((SupportNorm(norm)(x) * (v + 3)).sum(), norm.bias)[0].double()

    exact = slope(copy.deepcopy(norm).double(), x.double(), v.double())
    torch.testing.assert_close(slope(norm, x, v), exact, rtol=2e-6, atol=0)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (0, 3, 2, 2)])
def test_one_value_in_each_channel_or_none_needs_no_other(shape: tuple[int, ...]) -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False).double()
    nn.init.normal_(norm.bias)
    expected = norm.bias.view(1, 3, *(1,) * (len(shape) - 2)).expand(shape)
    torch.testing.assert_close(SupportNorm(norm)(torch.ones(shape, dtype=torch.float64)), expected)


def test_weights_can_be_differentiated() -> None:
    x, w = images(), torch.tensor([0.1, 0.4, 0.2, 0.5]).double().requires_grad_()
    assert torch.autograd.gradcheck(moments, (x.requires_grad_(), w))
    assert torch.autograd.gradgradcheck(moments, (x, w))


@pytest.mark.parametrize("rows", [0, 6])
def test_no_mass_leaves_the_input_as_it_is(rows: int) -> None:
    mean, var = moments(torch.randn(rows, 3, 2), torch.zeros(rows))
    torch.testing.assert_close((mean, var), (torch.zeros(3), torch.ones(3)))


def test_the_parameters_stay_the_same_objects_under_the_same_names() -> None:
    body = network()
    before = dict(body.named_parameters())
    after = dict(prepare(body).named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert not list(body.buffers()) and not [name for name in body.state_dict() if name not in before]


def test_a_query_row_is_normalised_by_the_support_alone() -> None:
    body, x, w = prepare(network()), images(), torch.tensor([0.1, 0.4, 0.0, 0.5]).double()
    outputs, statistics = on_support(body, {}, x, w)
    assert set(statistics) == {"1.mean", "1.var"}
    torch.testing.assert_close(on_query(body, {}, statistics, x), outputs)
    torch.testing.assert_close(on_query(body, {}, statistics, x[:1]), outputs[:1])


def test_a_body_is_run_for_its_statistics_only_if_it_has_some() -> None:
    class Unrunnable(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise AssertionError

    assert statistics_of(Unrunnable(), {}, images(), torch.ones(4).double()) == {}
    body, w = prepare(network()), torch.ones(4).double()
    torch.testing.assert_close(statistics_of(body, {}, images(), w), on_support(body, {}, images(), w)[1])


def test_without_statistics_a_query_row_is_normalised_by_its_neighbours() -> None:
    body, x = prepare(network()), images()
    torch.testing.assert_close(on_query(body, {}, {}, x), body(x))
    assert not torch.allclose(on_query(body, {}, {}, x[:2]), body(x)[:2])


def test_nothing_is_remembered_between_calls() -> None:
    body, x = prepare(network()), images()
    before = body(x)
    on_support(body, {}, images(seed=1), torch.ones(4).double())
    torch.testing.assert_close(body(x), before, rtol=0, atol=0)
    assert not list(body.buffers())


def test_preparing_twice_changes_nothing() -> None:
    body = prepare(network())
    layers = list(body.modules())
    assert list(prepare(body).modules()) == layers


def test_a_prepared_body_can_be_copied() -> None:
    body, x = prepare(network()), images()
    torch.testing.assert_close(copy.deepcopy(body)(x), body(x))


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(3), nn.InstanceNorm2d(3, track_running_stats=True)])
def test_running_statistics_are_refused_by_name_with_the_remedy(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"^body: got layer '1', a \w+Norm2d .*track_running_stats=False"):
        prepare(nn.Sequential(nn.Conv2d(2, 3, 3), norm))


def test_a_norm_in_two_places_is_refused() -> None:
    norm = nn.BatchNorm1d(2, track_running_stats=False)
    with pytest.raises(MapstoError, match=r"^body: got layer '2'"):
        prepare(nn.Sequential(norm, nn.Tanh(), norm))
    with pytest.raises(MapstoError, match=r"^body: .* alone"):
        prepare(nn.BatchNorm1d(2, track_running_stats=False))

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2, track_running_stats=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.norm(x).exp())

    with pytest.raises(MapstoError, match=r"^body: .* twice"):
        on_support(prepare(Twice()), {}, torch.randn(4, 2), torch.full((4,), 0.25))
