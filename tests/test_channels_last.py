"""Image networks compute with the channels innermost in memory, and give the numbers of their layers in any layout."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mapsto.models import VGG, AlexNet, Conv3, Conv4, ResNet12
from mapsto.models.convolution import Convolution, channels_last

NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "Conv4": lambda c: Conv4(channels=c, hidden=4, outputs=2, size=16),
    "Conv3": lambda c: Conv3(channels=c, hidden=4, outputs=2, size=22),
    "VGG": lambda c: VGG(channels=c, widths=(4, 4), outputs=2, size=16),
    "AlexNet": lambda c: AlexNet(channels=c, hidden=2, outputs=2, size=16),
    "ResNet12": lambda c: ResNet12(channels=c, widths=(4, 4), outputs=2, size=16),
}


def images(channels: int, size: int, n: int = 3) -> Tensor:
    return torch.randn(n, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 1, 4, 5), (3, 2, 4, 5), (0, 2, 4, 5), (2, 3, 1, 1)])
def test_only_the_layout_changes(shape: tuple[int, ...]) -> None:
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape)
    _, c, h, w = shape
    for layout in (x, x.flip(3).flip(3), x.transpose(2, 3).contiguous().transpose(2, 3)):
        got = channels_last(layout)
        assert torch.equal(got, x)
        assert h * w == 1 or got.stride() == (h * w * c, 1, w * c, c)
    assert torch.equal(vmap(channels_last)(x[None].expand(2, *shape))[1], x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_computes_with_the_channels_innermost(name: str, channels: int) -> None:
    torch.manual_seed(0)
    net, inner = NETWORKS[name](channels).double(), []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            layer.register_forward_hook(lambda layer, inputs, output: inner.append(output.stride(1) == 1))
    net(images(channels, 22 if name == "Conv3" else 16, n=32))
    assert len(inner) >= 4 and all(inner)


def test_channels_are_outermost_where_the_weights_outnumber_the_images() -> None:
    layer = Convolution(64, 64, 3, padding=1).double()  # 36,864 weights
    small, large = (torch.zeros(n, 64, 8, 8, dtype=torch.float64) for n in (8, 9))
    assert layer(channels_last(small)).stride(3) == 1 and layer(channels_last(large)).stride(1) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_and_their_derivatives_are_those_of_any_layout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net, x = NETWORKS[name](1).double(), images(1, 22 if name == "Conv3" else 16)
    weights = dict(net.named_parameters())

    def results() -> tuple[Tensor, Tensor]:
        loss = lambda weights, x: functional_call(net, weights, (x,)).square().sum()  # noqa: E731
        length = lambda x: sum(g.square().sum() for g in grad(loss)(weights, x).values())  # noqa: E731
        return net(x), grad(length)(x)

    got = results()
    monkeypatch.setattr("mapsto.models.convolution.channels_last", lambda x, weights: x.contiguous())
    expected = results()
    assert expected[1].abs().max() > 1e-6
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_networks_can_be_differentiated_under_vmap(name: str) -> None:
    """Norms do not know the layout there."""
    torch.manual_seed(0)
    net, x = NETWORKS[name](1).double(), images(1, 22 if name == "Conv3" else 16)
    weights = dict(net.named_parameters())
    slope = grad(lambda weights, x: functional_call(net, weights, (x,)).square().sum())
    rows = vmap(slope, in_dims=(None, 0))(weights, x.expand(2, *x.shape))
    torch.testing.assert_close({k: row[1] for k, row in rows.items()}, slope(weights, x))
