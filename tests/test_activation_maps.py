"""Activation maps against captum's LayerGradCam, and in closed form behind a mean over the image."""

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

import mapsto as mt
from mapsto import views
from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import GradCAM, HiResCAM, InputXGradient
from mapsto.explainers.activation_maps import enlarge
from mapsto.learners import MAML, Learner, PrototypicalNetwork

F64 = torch.float64
quiet = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def body(outputs: int) -> nn.Sequential:
    """Convolutions, then a flat head: places are weighed one by one."""
    convolutions = [nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 5, 3), nn.Tanh()]
    return started(nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(5 * 9, outputs)))


def pooled(outputs: int) -> nn.Sequential:
    """The network of Zhou et al. 2016: convolutions, the mean over the image, a linear head."""
    convolution = [nn.Conv2d(1, 4, 3), nn.Tanh()]
    return started(nn.Sequential(*convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs)))


def started(net: nn.Sequential) -> nn.Sequential:
    net = net.to(F64)
    for i, parameter in enumerate(net.parameters()):
        parameter.data = randn(*parameter.shape, seed=i) * (2 * parameter[0].numel() ** -0.5)
    return net


SUPPORT = examples(randn(5, 1, 12, 12, seed=1), torch.tensor([0, 1, 0, 1, 1]))
IMAGES = randn(3, 1, 12, 12, seed=2)
LEARNERS: dict[str, Learner] = {
    "MAML": MAML(body(2), lr=0.1, steps=2),
    "ProtoNet": PrototypicalNetwork(body(6), ways=2),
}


def maps(explainer: GradCAM | HiResCAM, learner: Learner, layer: str, target: int | None = 1) -> Tensor:
    return torch.stack([explainer(*views.feature(learner, SUPPORT, x, layer, target)) for x in IMAGES]).detach()


@quiet
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("layer", ["1", "3"])
def test_grad_cam_is_captums(name: str, layer: str) -> None:
    learner = LEARNERS[name]
    module = mt.as_module(learner, SUPPORT)
    oracle = captum.attr.LayerGradCam(module, module.learner.body.get_submodule(layer))
    theirs = oracle.attribute(IMAGES, target=1, relu_attributions=True)[:, 0].detach()
    assert theirs.std() > 1e-3 and (theirs == 0).any()  # the ReLU matters
    torch.testing.assert_close(maps(GradCAM(), learner, layer), theirs, rtol=0, atol=1e-5)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(maps(HiResCAM(), learner, layer).relu(), theirs, rtol=0, atol=1e-5)


@quiet
@pytest.mark.parametrize("name", LEARNERS)
def test_the_local_map_is_captums_layer_gradient_x_activation_summed_over_channels(name: str) -> None:
    learner = LEARNERS[name]
    module = mt.as_module(learner, SUPPORT)
    oracle = captum.attr.LayerGradientXActivation(module, module.learner.body[3])
    theirs = oracle.attribute(IMAGES, target=0).sum(1).detach()
    assert theirs.std() > 1e-3
    torch.testing.assert_close(maps(HiResCAM(), learner, "3", 0), theirs)


@pytest.mark.parametrize("explainer", [GradCAM(), HiResCAM()])
def test_all_scores_points_and_chunks_at_once(explainer: GradCAM | HiResCAM) -> None:
    learner = LEARNERS["ProtoNet"]
    together = maps(explainer, learner, "3", None)  # [n, h, w, k]
    assert together.shape == (3, 3, 3, 2) and together.std() > 1e-3
    for k in range(2):
        torch.testing.assert_close(together[..., k], maps(explainer, learner, "3", k))
    view, _ = views.feature(learner, SUPPORT, IMAGES[0], "3")
    points = torch.stack([views.feature(learner, SUPPORT, x, "3")[1] for x in IMAGES])
    for chunk in (None, 1, 2):
        torch.testing.assert_close(explainer.over(view, points, chunk).detach(), together)
    batched = vmap(lambda x: explainer(*views.feature(learner, SUPPORT, x, "3")))(IMAGES)
    torch.testing.assert_close(batched.detach(), together)


def test_behind_a_mean_and_a_linear_head_both_are_the_class_activation_map() -> None:
    learner = MAML(pooled(3), lr=0.1, steps=2)
    state = learner.adapt(SUPPORT)
    weight, bias = state.params["4.weight"], state.params["4.bias"]  # [k, c], [k]
    for x in IMAGES:
        view, point = views.feature(learner, SUPPORT, x, "1")
        cam = torch.einsum("kc,chw->hwk", weight, point)  # Zhou et al. 2016, eq. 2
        assert cam.std() > 0.1
        torch.testing.assert_close(HiResCAM()(view, point), cam / 100)  # the mean of 10 × 10 places
        torch.testing.assert_close(GradCAM()(view, point), cam.relu() / 100)
        torch.testing.assert_close(HiResCAM()(view, point).sum((0, 1)), view(point) - bias)  # complete


def test_the_map_of_a_teaching_image_is_that_of_its_share_in_the_prototype() -> None:
    # score_k = −‖f − c_k‖², c_k = Σ_i share_ik·mean_hw(A_i): ∂score_k/∂A_i = 2(f − c_k)·share_ik/(h·w)
    net = pooled(1)[:4]
    learner = PrototypicalNetwork(net, ways=2)
    w = torch.tensor([0.3, 0.2, 0.1, 0.4, 0.0], dtype=F64)
    support, x = Examples(SUPPORT.x, SUPPORT.y, w), IMAGES[0]
    share = torch.zeros(5, 2, dtype=F64)
    share[[0, 2], 0] = w[[0, 2]] / w[[0, 2]].sum()
    share[[1, 3, 4], 1] = w[[1, 3, 4]] / w[[1, 3, 4]].sum()
    view, point = views.support_feature(learner, support, x, "1")
    assert point.shape == (5, 4, 10, 10)
    slope = 2 * (net(x[None]) - learner.adapt(support).means)  # [k, c]
    expected = torch.einsum("nk,kc,nchw->nhwk", share, slope, point) / 100
    values = HiResCAM()(view, point)
    assert expected[:4].abs().amax((1, 2, 3)).min() > 1e-3
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(GradCAM()(view, point), expected.relu())
    assert torch.equal(values[4], torch.zeros_like(values[4]))  # weight 0: it gave nothing
    assert torch.equal(values[0, ..., 1], torch.zeros_like(values[0, ..., 1]))  # nor to a class that is not its own


@pytest.mark.parametrize("explainer", [GradCAM(), HiResCAM()])
def test_a_pair_of_query_and_support_is_one_image_at_a_time(explainer: GradCAM | HiResCAM) -> None:
    view, point = views.support_feature(LEARNERS["ProtoNet"], SUPPORT, IMAGES[0], "3", target=1)
    together = explainer(view, point)
    assert together.shape == (5, 3, 3) and together[1].std() > 1e-4
    for i in range(5):
        one = explainer(lambda moved, i=i: view(torch.cat([point[:i], moved[None], point[i + 1 :]])), point[i])
        torch.testing.assert_close(one, together[i])


@pytest.mark.parametrize("explainer", [GradCAM(), HiResCAM()])
def test_a_layer_without_places_is_refused(explainer: GradCAM | HiResCAM) -> None:
    view, point = views.feature(LEARNERS["MAML"], SUPPORT, IMAGES[0], "5", target=1)
    assert InputXGradient()(view, point).shape == (45,)
    with pytest.raises(MapstoError, match=r"point: got shape \(45,\)"):
        explainer(view, point)


def test_a_map_is_enlarged_as_captum_interpolates() -> None:
    small = randn(3, 4, 2)  # [h, w, k]
    theirs = captum.attr.LayerAttribution.interpolate(small.movedim(-1, 0)[None], (12, 10), "bilinear")[0]
    larger = enlarge(small, (12, 10))
    assert larger.shape == (12, 10, 2) and larger.std() > 0.1
    torch.testing.assert_close(larger.movedim(-1, 0), theirs)
    torch.testing.assert_close(enlarge(small[..., 1], (12, 10)), theirs[1])
    torch.testing.assert_close(vmap(lambda one: enlarge(one, (12, 10)), in_dims=2)(small), theirs)
    torch.testing.assert_close(enlarge(torch.full((2, 2), 7.0), (9, 5)), torch.full((9, 5), 7.0))


def test_what_is_no_map_or_no_size_is_refused(unchecked: None) -> None:
    for values, size in ((torch.ones(3), (4, 4)), (torch.ones(3, 3), (0, 4))):
        with pytest.raises(MapstoError, match="values, size: got shape"):
            enlarge(values, size)
