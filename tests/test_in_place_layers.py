"""In-place layers, such as `ReLU(inplace=True)`, change neither the recorded output before them nor its attribution."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from mapsto import explainers, seeing, views
from mapsto.adaptation import watching
from mapsto.episodes import examples
from mapsto.learners import MAML, Learner, PrototypicalNetwork

F64 = torch.float64


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def convolutions(inplace: bool) -> nn.Sequential:
    parts = [nn.Conv2d(1, 3, 3), nn.ReLU(inplace), nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.Flatten(), nn.Linear(64, 2)]
    net = nn.Sequential(*parts).to(F64).eval()
    for i, parameter in enumerate(net.parameters()):
        parameter.data = randn(*parameter.shape, seed=i) * 0.5
    return net


IN_PLACE, PLAIN = convolutions(True), convolutions(False)
IMAGES = randn(3, 1, 8, 8, seed=9)
SUPPORT = examples(randn(4, 1, 8, 8, seed=8), torch.tensor([0, 1, 0, 1]))
LAYERS = ("0", "2")


def learners(kind: str) -> tuple[Learner, Learner]:
    nets = (copy.deepcopy(IN_PLACE), copy.deepcopy(PLAIN))
    first, second = ((MAML(net, lr=0.1, steps=2) if kind == "MAML" else PrototypicalNetwork(net, 2)) for net in nets)
    return first, second


def close(got: Tensor, expected: Tensor) -> None:
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(got.detach(), expected.detach())


def test_what_is_recorded_is_the_output_of_the_layer() -> None:
    outputs = watching.watch(IN_PLACE, lambda: IN_PLACE(IMAGES))
    for layer, expected in watching.watch(PLAIN, lambda: PLAIN(IMAGES)).items():
        close(outputs[layer], expected)
    assert outputs["2"].min() < -0.1
    only = watching.only_output("2", IN_PLACE[2], lambda: IN_PLACE(IMAGES))
    close(only, outputs["2"])


@pytest.mark.parametrize("kind", ["MAML", "ProtoNet"])
def test_the_features_of_a_learner_are_those_of_each_layer(kind: str) -> None:
    got, expected = (seeing.features_over(each, [each.adapt(SUPPORT)], IMAGES) for each in learners(kind))
    for layer in LAYERS:
        close(got[layer], expected[layer])
        assert got[layer].min() < -0.1


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", ["MAML", "ProtoNet"])
def test_feature_views_of_a_learner_explain_the_layer(kind: str, layer: str) -> None:
    for make in (views.feature, *([views.support_feature] if kind == "ProtoNet" else [])):
        (view, point), (plain, expected) = (make(each, SUPPORT, IMAGES[0], layer, target=1) for each in learners(kind))
        close(point, expected)
        close(view(point), plain(expected))
        for explainer in (explainers.Gradient(), explainers.GradCAM(), explainers.HiResCAM()):
            close(explainer(view, point), explainer(plain, expected))
        close(point, expected)  # no explainer has changed it


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
@pytest.mark.parametrize("layer", LAYERS)
def test_the_layers_of_a_plain_network_have_captums_maps(layer: str) -> None:
    h, part = views.model(IN_PLACE, target=1, layer=layer), PLAIN[int(layer)]
    maps = vmap(lambda x: explainers.GradCAM()(*h.at(x)))(IMAGES)
    close(maps, captum.attr.LayerGradCam(PLAIN, part).attribute(IMAGES, 1, relu_attributions=True)[:, 0])
    view, point = h.at(IMAGES[0])
    close(point, PLAIN[: int(layer) + 1](IMAGES[:1])[0])
    close(view(point), PLAIN(IMAGES[:1])[0, 1])
    path = captum.attr.LayerIntegratedGradients(PLAIN, part)
    expected = path.attribute(IMAGES[:1], 0.0 * IMAGES[:1], target=1, n_steps=8, method="gausslegendre")[0]
    start = PLAIN[: int(layer) + 1](0.0 * IMAGES[:1])[0].detach()
    close(explainers.IntegratedGradients(8, baseline=start)(view, point), expected)


def test_the_channels_of_a_layer_can_be_hidden() -> None:
    h, channels = views.model(IN_PLACE, target=0, layer="2"), torch.arange(4)[:, None, None].expand(4, 4, 4)
    values = explainers.Occlusion()(views.game(h, IMAGES[0], groups=channels))
    maps = PLAIN[:3](IMAGES[:1])
    for channel in range(4):
        hidden = maps.clone()
        hidden[:, channel] = 0.0
        close(values[channel], (PLAIN[3:](maps) - PLAIN[3:](hidden))[0, 0])


def test_a_model_that_changes_its_input_does_not_change_the_row() -> None:
    net, row = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 1)).to(F64).eval(), randn(5)

    def overwrites(rows: np.ndarray) -> np.ndarray:
        rows = rows.view(np.ndarray)
        rows[rows < 0] = 0
        return rows.sum(1)

    kept, weight = row.clone(), net[1].weight[0]
    for model, slope in ((net, weight), (lambda rows: rows.relu_() @ weight, weight)):
        h = views.model(lambda rows, model=model: model(rows).reshape(-1))
        close(explainers.Gradient()(h, row), torch.where(row > 0, slope, 0.0))
        close(explainers.Occlusion()(views.game(h, row)), row.relu() * slope)
        assert torch.equal(row, kept)
    close(views.model(net)(row), net(kept[None].clone())[0])
    close(views.model(overwrites)(row), kept.relu().sum())
    assert torch.equal(row, kept)
