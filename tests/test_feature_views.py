"""Views of one layer: any explainer explains any layer, as captum's layer methods do, one by one, on the same model."""

import captum.attr
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import mapsto as mt
from mapsto import views
from mapsto.adaptation.watching import part
from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient, IntegratedGradients
from mapsto.learners import MAML, InContext, Learner, PrototypicalNetwork
from mapsto.models import MLP, Conv4, SetTransformer

F64 = torch.float64


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def started(body: nn.Module) -> nn.Module:
    """The body in double precision, with weights that do not depend on the global seed."""
    body = body.to(F64)
    for i, (name, parameter) in enumerate(body.named_parameters()):
        scale = 2 * parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.data = scale * randn(*parameter.shape, seed=i) + float("norm.weight" in name)
    return body


def maml(steps: int = 3) -> tuple[Learner, Examples, Tensor]:
    learner = MAML(started(MLP(4, 8, 6, 3, activation="tanh")), lr=0.5, steps=steps)
    return learner, examples(randn(6, 4, seed=1), torch.arange(6) % 3), randn(3, 4, seed=2)


def prototypes() -> tuple[Learner, Examples, Tensor]:
    body = Conv4(channels=1, hidden=4, size=16, activation="softplus", pooling="average", norm="batch")
    learner = PrototypicalNetwork(started(body), ways=2)
    coarse = randn(7, 1, 4, 4, seed=1)  # so that pooling leaves something
    images = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)
    return learner, examples(images[:4], torch.arange(4) % 2), images[4:]


CASES = [(maml, "1"), (maml, "2"), (maml, "3"), (prototypes, "blocks.0.conv"), (prototypes, "blocks.2.norm")]
IDS = [f"{make.__name__}-{layer}" for make, layer in CASES]
quiet = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")


@pytest.mark.parametrize(("make", "layer"), CASES, ids=IDS)
def test_the_view_at_its_point_is_the_score(make, layer: str) -> None:
    learner, support, xs = make()
    scores = learner.predict(learner.adapt(support), xs)
    named = learner.features(learner.adapt(support), xs)[layer]
    for x, expected, output in zip(xs, scores, named, strict=True):
        view, point = views.feature(learner, support, x, layer)
        torch.testing.assert_close(point, output)
        torch.testing.assert_close(view(point), expected)
        assert (view(point + 1) - expected).abs().max() > 1e-3
        torch.testing.assert_close(views.feature(learner, support, x, layer, target=1)[0](point), expected[1])
        soft = views.feature(learner, support, x, layer, link=lambda s: s.softmax(-1))[0]
        torch.testing.assert_close(soft(point), expected.softmax(-1))
    assert not any(module._forward_hooks for module in learner.modules())


@quiet
@pytest.mark.parametrize(("make", "layer"), CASES, ids=IDS)
def test_input_x_gradient_of_a_layer_is_captums_layer_gradient_x_activation(make, layer: str) -> None:
    learner, support, xs = make()
    module = mt.as_module(learner, support)
    oracle = captum.attr.LayerGradientXActivation(module, module.learner.body.get_submodule(layer))
    theirs = oracle.attribute(xs, target=1).detach()
    assert theirs.flatten(1).std(0).max() > 1e-3
    for x, expected in zip(xs, theirs, strict=True):
        torch.testing.assert_close(InputXGradient()(*views.feature(learner, support, x, layer, target=1)), expected)


@quiet
@pytest.mark.parametrize(("make", "layer"), CASES, ids=IDS)
def test_integrated_gradients_of_a_layer_are_captums(make, layer: str) -> None:
    learner, support, xs = make()
    module = mt.as_module(learner, support)
    oracle = captum.attr.LayerIntegratedGradients(module, module.learner.body.get_submodule(layer))
    theirs = oracle.attribute(xs, baselines=0.1, target=1, n_steps=12, method="gausslegendre").detach()
    size = theirs.abs().max().item()
    assert size > 1e-4 and theirs.flatten(1).std(0).max() > size / 10
    start = views.feature(learner, support, torch.full_like(xs[0], 0.1), layer)[1]  # its way begins there
    for x, expected in zip(xs, theirs, strict=True):
        view, point = views.feature(learner, support, x, layer, target=1)
        ours = IntegratedGradients(12, start)(view, point)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * size)
        with pytest.raises(AssertionError):  # another baseline is another answer
            torch.testing.assert_close(IntegratedGradients(12)(view, point), expected, rtol=0, atol=1e-5 * size)


def test_the_whole_body_is_a_layer_too() -> None:
    learner, support, xs = prototypes()
    view, point = views.feature(learner, support, xs[0], "body")
    means = learner.adapt(support).means
    torch.testing.assert_close(Gradient()(view, point), 2 * (means - point).T)  # of −‖f − c_k‖²


@pytest.mark.parametrize("make", [maml, prototypes])
def test_feature_views_compose_with_vmap_grad_and_functional_call(make) -> None:
    learner, support, xs = make()
    layer = {maml: "2", prototypes: "blocks.1.conv"}[make]

    def attributions(x: Tensor) -> Tensor:
        return InputXGradient()(*views.feature(learner, support, x, layer, target=1))

    torch.testing.assert_close(vmap(attributions)(xs), torch.stack([attributions(x) for x in xs]))

    def score(x: Tensor) -> Tensor:
        view, point = views.feature(learner, support, x, layer, target=1)
        return view(point)

    expected = Gradient()(views.query(learner, support, target=1), xs[0])
    torch.testing.assert_close(grad(score)(xs[0]), expected)

    class Scored(nn.Module):
        def __init__(self):
            super().__init__()
            self.learner = learner

        def forward(self, x: Tensor) -> Tensor:
            return score(x)

    params = dict(Scored().named_parameters())
    slopes = grad(lambda params: functional_call(Scored(), params, (xs[0],)))(params)
    direct = grad(lambda p: functional_call(_Predicts(learner, support), p, (xs[0],)))(params)
    assert max(value.abs().max() for value in direct.values()) > 1e-3
    for name, value in slopes.items():
        torch.testing.assert_close(value, direct[name])


class _Predicts(nn.Module):
    def __init__(self, learner: Learner, support: Examples):
        super().__init__()
        self.learner, self.support = learner, support

    def forward(self, x: Tensor) -> Tensor:
        return self.learner.predict(self.learner.adapt(self.support), x[None])[0, 1]


# ---- the teaching examples' features, through adaptation


def test_moved_support_features_move_the_prototypes() -> None:
    body = started(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    learner, support = PrototypicalNetwork(body, ways=2), examples(randn(5, 4, seed=1), torch.tensor([0, 1, 0, 1, 1]))
    x = randn(4, seed=2)
    view, point = views.support_feature(learner, support, x, "1")
    torch.testing.assert_close(point, body[1](body[0](support.x)))
    moved = randn(5, 5, seed=3)
    f = body[2](moved)
    means = torch.stack([f[[0, 2]].mean(0), f[[1, 3, 4]].mean(0)])
    torch.testing.assert_close(view(moved), -(body(x) - means).square().sum(1))
    view, point = views.support_feature(learner, support, x, "2", target=1)
    means = torch.stack([point[[0, 2]].mean(0), point[[1, 3, 4]].mean(0)])
    share = torch.tensor([0.0, 1 / 3, 0.0, 1 / 3, 1 / 3], dtype=F64)
    torch.testing.assert_close(Gradient()(view, point), share[:, None] * 2 * (body(x) - means[1]))


def test_batch_norm_takes_the_moved_support_features_into_its_statistics() -> None:
    learner, support, xs = prototypes()
    view, point = views.support_feature(learner, support, xs[0], "blocks.0.conv", target=1)
    score = learner.predict(learner.adapt(support), xs[:1])[0, 1]
    torch.testing.assert_close(view(point), score)
    slopes, way = Gradient()(view, point), randn(*point.shape, seed=5)
    small = 1e-5
    measured = (view(point + small * way) - view(point - small * way)) / (2 * small)
    assert measured.abs() > 1e-4
    torch.testing.assert_close((slopes * way).sum(), measured, rtol=1e-6, atol=1e-8)


def test_one_inner_step_takes_its_gradients_through_the_moved_layer() -> None:
    learner, support, xs = maml(steps=1)
    view, point = views.support_feature(learner, support, xs[0], "2", target=1)
    torch.testing.assert_close(view(point), learner.predict(learner.adapt(support), xs[:1])[0, 1])
    slopes, way = Gradient()(view, point), randn(*point.shape, seed=5)
    measured = (view(point + 1e-5 * way) - view(point - 1e-5 * way)) / 2e-5
    assert measured.abs() > 1e-4
    torch.testing.assert_close((slopes * way).sum(), measured, rtol=1e-6, atol=1e-8)


def test_another_number_of_inner_steps_has_no_one_output() -> None:
    for steps, runs in ((3, 3), (0, 0)):
        learner, support, xs = maml(steps)
        with pytest.raises(MapstoError, match=f"^layer: .*'2'.* runs {runs} times"):
            views.support_feature(learner, support, xs[0], "2")


# ---- what is refused


class Twice(nn.Module):
    """Layers that run twice, never, in whole numbers, as a pair, and to no end."""

    def __init__(self):
        super().__init__()
        self.again, self.never, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.rank, self.pair, self.idle = Rank(), Pair(), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.idle(x), self.rank(x), self.pair(x)
        return self.head(self.again(self.again(x)))


class Rank(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.argsort(-1)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize("make", [views.feature, views.support_feature])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv9", "^layer: got 'conv9'.* again, never, head"),
        ("", "layer: got '', expected the name"),
        ("again", "^layer: .*'again'.* runs 2 times"),
        ("never", "^layer: .*'never'.* runs 0 times"),
        ("idle", "^layer: .*'idle'.* does not reach the score"),
        ("rank", "^layer: .*'rank'.*torch.int64"),
        ("pair", "^layer: .*'pair'.*tuple"),
    ],
)
def test_a_layer_that_cannot_be_moved_is_refused(make, layer: str, message: str) -> None:
    learner = PrototypicalNetwork(Twice(), ways=2)
    support, x = examples(torch.randn(4, 4), torch.arange(4) % 2), torch.randn(4)
    assert make(learner, support, x, "head")[0] is not None
    with pytest.raises(MapstoError, match=message):
        make(learner, support, x, layer)
    assert not any(module._forward_hooks for module in learner.modules())


def test_an_idle_layer_is_found_inside_vmap_too() -> None:
    learner, support = PrototypicalNetwork(Twice(), ways=2), examples(torch.randn(4, 4), torch.arange(4) % 2)
    with pytest.raises(MapstoError, match="does not reach the score"):
        vmap(lambda x: InputXGradient()(*views.feature(learner, support, x, "idle")))(torch.randn(3, 4))


def test_a_name_of_several_layers_is_given_in_full() -> None:
    both = nn.ModuleDict({"one": nn.Sequential(nn.Linear(1, 1)), "other": nn.Sequential(nn.ReLU())})
    with pytest.raises(MapstoError, match=r"layer: got '0', the name of several \(one.0, other.0\)"):
        part(both, "0")
    assert part(both, "other.0") is both["other"][0]
    with pytest.raises(MapstoError, match=r"^layer: got '0'.* none"):
        part(nn.ReLU(), "0")


@pytest.mark.parametrize("make", [views.feature, views.support_feature])
def test_a_transductive_learner_is_refused(make) -> None:
    learner = PrototypicalNetwork(nn.Flatten(), ways=2, transductive=True)
    with pytest.raises(ValueError, match="transductive=False"):
        make(learner, examples(torch.randn(4, 4), torch.arange(4) % 2), torch.randn(4), "body")


def test_the_layers_of_a_set_transformer_are_layers() -> None:
    learner = InContext(SetTransformer(8, 2, heads=2), ways=2)
    support, x = examples(torch.randn(6, 3), torch.arange(6) % 2), torch.randn(3)
    view, point = views.feature(learner, support, x, "layers.1.mlp", target=1)
    torch.testing.assert_close(view(point), learner.predict(learner.adapt(support), x[None])[0, 1])
    assert IntegratedGradients(8)(view, point).abs().max() > 1e-5
