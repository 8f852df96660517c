"""The networks: shapes, parameters in number, and the arithmetic of a layer against PyTorch's own."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.models import MLP, Conv4, SetTransformer
from mapsto.models.norms import started


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_mlp_is_the_sinusoid_network() -> None:
    model = MLP(1, 40, 40, 1)
    assert parameters(model) == (1 + 1) * 40 + (40 + 1) * 40 + (40 + 1) * 1
    assert [type(layer) for layer in model] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_mlp_is_alternating_matrices_and_nonlinearities() -> None:
    torch.manual_seed(0)
    model, x = MLP(6, 4, 2, activation="tanh"), torch.randn(5, 2, 3)
    hidden = (x.reshape(5, 6) @ model[1].weight.T + model[1].bias).tanh()
    torch.testing.assert_close(model(x), hidden @ model[3].weight.T + model[3].bias)


@pytest.mark.parametrize(
    ("pooling", "readout", "size", "width"),
    [
        ("max", "flatten", 28, 64),  # Snell et al. 2017, §3.1: 28 → 14 → 7 → 3 → 1
        ("max", "flatten", 84, 1600),  # the same on mini-ImageNet: 84 → 42 → 21 → 10 → 5
        ("stride", "flatten", 28, 256),  # Nichol et al. 2018: 28 → 14 → 7 → 4 → 2
        ("stride", "mean", 28, 64),  # Finn et al. 2017, §5.2
        ("average", "flatten", 16, 64),
    ],
)
def test_conv4_has_the_published_widths(pooling: str, readout: str, size: int, width: int) -> None:
    model = Conv4(channels=3, hidden=64, size=size, pooling=pooling, readout=readout)
    assert model.width == width
    assert model(torch.zeros(2, 3, size, size)).shape == (2, width)


def test_conv4_has_the_published_parameters() -> None:
    assert parameters(Conv4(channels=1, hidden=64)) == 111_936  # 4 convolutions with bias, 4 batch norms
    assert parameters(Conv4(channels=1, hidden=64, outputs=5)) == 111_936 + 65 * 5


def test_convolutions_without_a_norm_neither_grow_nor_shrink_an_image() -> None:
    torch.manual_seed(0)
    model, x = Conv4(hidden=64, norm="none"), torch.randn(50, 1, 28, 28)
    assert not [name for name, _ in model.named_parameters() if "norm" in name]
    assert 0.3 < model(x).square().mean() < 10
    plain = nn.Conv2d(1, 8, 3)
    assert torch.equal(started(plain, "layer").weight, plain.weight)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
def test_conv4_is_four_blocks_of_convolution_norm_relu_and_pooling(pooling: str, norm: str) -> None:
    torch.manual_seed(0)
    model, x = Conv4(hidden=3, outputs=4, size=16, pooling=pooling, norm=norm), torch.randn(5, 1, 16, 16)
    expected = x
    for block in model.blocks:
        stride = 2 if pooling == "stride" else 1
        expected = F.conv2d(expected, block.conv.weight, block.conv.bias, stride=stride, padding=1)
        over = (0, 2, 3) if norm == "batch" else (1, 2, 3)
        var, mean = torch.var_mean(expected, over, correction=0, keepdim=True)
        scale, shift = (p.view(-1, 1, 1) for p in (block.norm.weight, block.norm.bias))
        expected = ((expected - mean) / (var + 1e-5).sqrt() * scale + shift).relu()
        if pooling != "stride":
            expected = F.max_pool2d(expected, 2) if pooling == "max" else F.avg_pool2d(expected, 2)
    expected = F.linear(expected.flatten(1), model.head.weight, model.head.bias)
    assert expected.std() > 0.01
    torch.testing.assert_close(model(x), expected)


def test_conv4_keeps_no_running_statistics() -> None:
    model = Conv4(hidden=4, size=16)
    assert not list(model.buffers())
    x = torch.randn(6, 1, 16, 16)
    torch.testing.assert_close(model.train()(x), model.eval()(x))


@pytest.mark.parametrize("activation", ["tanh", nn.Tanh])
def test_an_activation_has_a_name_or_is_a_class(activation: str | type[nn.Module]) -> None:
    assert isinstance(MLP(1, 2, 1, activation=activation)[2], nn.Tanh)
    assert isinstance(Conv4(activation=activation).blocks[0].activation, nn.Tanh)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MLP(3), "sizes: got"),
        (lambda: MLP(3, 0, 1), "sizes: got"),
        (lambda: MLP(3, 1, activation="relu6"), "^activation: got 'relu6'"),
        (lambda: Conv4(pooling="mean"), "pooling: got 'mean'"),
        (lambda: Conv4(readout="max"), "readout: got 'max'"),
        (lambda: Conv4(norm="group"), "^norm: got 'group'"),
        (lambda: Conv4(size=15), "^size: got 15"),
        (lambda: Conv4(hidden=0), "^hidden: got 0"),
        (lambda: Conv4(channels=0), "^channels: got 0"),
        (lambda: SetTransformer(width=10, heads=4), "^width: got 10 with 4 heads"),
        (lambda: SetTransformer(depth=0), "^depth: got 0"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda depth: mt.models.SetTransformer(depth=depth),
        lambda depth: mt.models.KernelAttention(depth=depth),
        lambda depth: mt.models.VGG(depth=depth),
        lambda depth: mt.models.SoftDecisionTree(2, 2, depth=depth),
        lambda depth: mt.explainers.learned.AmortisedShapley(mt.explainers.learned.Columns(2), 2, depth=depth),
        lambda depth: mt.explainers.learned.DistilledShapley(mt.explainers.learned.Columns(2), 2, depth=depth),
    ],
)
def test_a_network_too_deep_for_any_memory_is_refused_at_once(build: Callable[[int], object]) -> None:
    with pytest.raises(MapstoError, match=r"^depth: got 1+, expected a whole number from [01] to (1000|20)\.$"):
        build(int("1" * 40))
