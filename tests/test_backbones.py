"""The larger networks: published shapes and sizes, and their arithmetic against PyTorch's own."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.models import VGG, AlexNet, Conv3, Conv4, Recurrent, ResNet12

IMAGES = {
    "VGG": lambda **more: VGG(widths=(3, 4), size=16, **more),
    "AlexNet": lambda **more: AlexNet(hidden=1, width=5, size=16, **more),
    "ResNet12": lambda **more: ResNet12(widths=(3, 4), size=8, **more),
}
SIDES = {"VGG": 16, "AlexNet": 16, "ResNet12": 8}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_resnet12_has_the_published_size() -> None:
    assert parameters(ResNet12(channels=3)) == 12_424_320  # "12.4 M", Lee et al. 2019
    assert ResNet12(channels=3, widths=(4, 4, 4, 4), size=84)(torch.zeros(2, 3, 84, 84)).shape == (2, 4)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_images_become_embeddings_and_scores(name: str, norm: str) -> None:
    x = torch.randn(6, 1, SIDES[name], SIDES[name])
    body, scored = IMAGES[name](norm=norm), IMAGES[name](norm=norm, outputs=7)
    assert body(x).shape == (6, body.width) and scored(x).shape == (6, 7)
    assert not list(body.buffers())
    alone = torch.cat([body(row[None]) for row in x])
    assert (alone - body(x)).abs().max() < 1e-5 if norm == "layer" else (alone - body(x)).abs().max() > 1e-3


def test_vgg_is_pairs_of_convolutions() -> None:
    torch.manual_seed(0)
    model, x = VGG(widths=(3, 4), size=8, outputs=2), torch.randn(5, 1, 8, 8)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    expected = x
    for i, convolution in enumerate(convolutions):
        expected = F.conv2d(expected, convolution.weight, convolution.bias, padding=1)
        expected = F.batch_norm(expected, None, None, training=True).relu()
        expected = F.max_pool2d(expected, 2) if i % 2 else expected
    torch.testing.assert_close(model(x), model.head(expected.flatten(1)))


def test_alexnet_is_five_convolutions_and_two_wide_layers() -> None:
    model = AlexNet(channels=3, hidden=48, width=4096, size=32, outputs=10)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [96, 192, 288, 288, 192]
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(3072, 4096), (4096, 4096), (4096, 10)]


def test_a_residual_block_adds_its_shortcut() -> None:
    torch.manual_seed(0)
    model, x = ResNet12(widths=(3,), size=4), torch.randn(5, 1, 4, 4)

    def layer(x: torch.Tensor, convolution: nn.Module) -> torch.Tensor:
        y = F.conv2d(x, convolution.weight, padding=convolution.padding)
        return F.batch_norm(y, None, None, training=True)

    first, second, third = (module for module in model.blocks[0].way if isinstance(module, nn.Conv2d))
    h = F.leaky_relu(layer(F.leaky_relu(layer(x, first), 0.1), second), 0.1)
    expected = F.max_pool2d(F.leaky_relu(layer(h, third) + layer(x, model.blocks[0].shortcut[0]), 0.1), 2)
    torch.testing.assert_close(model(x), expected.mean((2, 3)))


def test_the_recurrent_network_is_that_of_torch() -> None:
    torch.manual_seed(0)
    model, x = Recurrent(3, 4), torch.randn(5, 6, 3)
    gru = nn.GRU(3, 4, batch_first=True)
    parts = model.of_input.weight, model.of_state.weight, model.of_input.bias, model.of_state.bias
    gru.load_state_dict(dict(zip(gru.state_dict(), parts, strict=True)))
    torch.testing.assert_close(model(x), gru(x)[0][:, -1])


@pytest.mark.parametrize("name", IMAGES)
def test_gradients_of_adaptation_are_those_of_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    body = IMAGES[name](outputs=2, activation="softplus").double()
    for module in list(body.modules()):
        for child, pool in list(module.named_children()):
            if isinstance(pool, nn.MaxPool2d):
                setattr(module, child, nn.AvgPool2d(2))
    learner = mt.learners.MAML(body, lr=0.1)
    x = torch.randn(4, 1, SIDES[name], SIDES[name], dtype=torch.float64)
    support, query = (mt.examples(x[i::2], torch.tensor([0, 1])) for i in (0, 1))
    weight = next(body.parameters())

    def loss() -> torch.Tensor:
        return learner.loss(mt.Episode(support, query))[0]

    (exact,) = torch.autograd.grad(loss(), weight)
    direction = torch.randn_like(weight)
    with torch.no_grad():
        weight += 1e-5 * direction
        above = loss()
        weight -= 2e-5 * direction
        below = loss()
    torch.testing.assert_close((above - below) / 2e-5, (exact * direction).sum(), rtol=1e-5, atol=1e-9)


def test_a_recurrent_network_adapts() -> None:
    torch.manual_seed(0)
    learner = mt.learners.MAML(Recurrent(2, 5, outputs=3), steps=2)
    x = torch.randn(6, 4, 2)
    episode = mt.Episode(*(mt.examples(x, torch.tensor([0, 1, 2] * 2)) for _ in range(2)))
    gradients = torch.autograd.grad(learner.loss(episode)[0], list(learner.parameters()))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("least", "build"),
    [
        (8, lambda size: AlexNet(hidden=1, width=5, size=size, outputs=2)),
        (8, lambda size: VGG(widths=(2, 3, 4), size=size, outputs=2)),
        (4, lambda size: VGG(widths=(2, 3), size=size, outputs=2)),
        (22, lambda size: Conv3(hidden=2, size=size, outputs=2)),
        (16, lambda size: Conv4(hidden=2, size=size, outputs=2)),
        (1, lambda size: ResNet12(widths=(2, 3), size=size, outputs=2)),
    ],
    ids=["AlexNet", "VGG", "VGG of two stages", "Conv3", "Conv4", "ResNet12"],
)
def test_images_of_the_least_size_are_read_and_smaller_ones_refused(
    least: int, build: Callable[[int], nn.Module]
) -> None:
    assert build(least)(torch.randn(3, 1, least, least)).shape == (3, 2)
    with pytest.raises(ValueError, match=f"^size: got {least - 1}"):
        build(least - 1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VGG(widths=()), "^widths: got"),
        (lambda: VGG(size=7), "^size: got 7"),
        (lambda: AlexNet(size=7), "^size: got 7"),
        (lambda: ResNet12(widths=(0,)), "^widths: got"),
        (lambda: ResNet12(norm="group"), "norm: got 'group'"),
        (lambda: Recurrent(0), "^features: got 0"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
