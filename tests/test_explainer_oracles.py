"""Captum and shap as oracles: independent code for the same methods, on the same network, gives the same values.

Every oracle's answer is first shown to be worth agreeing with: spread out, different from row to row, not linear.
"""

from collections.abc import Callable

import captum.attr
import pytest
import torch
from torch import Tensor, nn

from mapsto.explainers import Gradient, InputXGradient, IntegratedGradients, Occlusion, Shapley
from mapsto.views import game

F64 = torch.float64
TARGET, BASELINE = 2, 0.3
GROUPS = torch.tensor([0, 0, 1, 1, 2, 2])
no_warning_about_gradients = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
no_warning_about_colours = pytest.mark.filterwarnings(
    "ignore:The set_(bad|over|under) function will be deprecated:PendingDeprecationWarning"
)


def network() -> nn.Sequential:
    """Six inputs, three scores, smooth, far from linear; its weights do not depend on the global seed."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)).to(F64)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=F64)
    return net.requires_grad_(False)


def rows(n: int, seed: int = 1) -> Tensor:
    return torch.randn(n, 6, dtype=F64, generator=torch.Generator().manual_seed(seed))


NET, X, BACKGROUND = network(), rows(4), rows(5, seed=2)


def view(x: Tensor) -> Tensor:
    return NET(x)[TARGET]


def playing(**absence: object) -> Callable[[Tensor], object]:
    return lambda x: game(view, x, **absence)


def assert_agree(ours: Tensor, theirs: Tensor, atol: float) -> None:
    theirs = theirs.detach().to(F64)  # captum keeps some in single precision
    assert theirs.shape == ours.shape
    assert theirs.std(0).min() > 0.01 and theirs.std(1).min() > 0.01  # worth agreeing with
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def test_the_network_is_far_from_linear() -> None:
    slopes = Gradient().over(view, X)
    assert (slopes - slopes.mean(0)).abs().max() > 0.5


@no_warning_about_gradients
def test_gradient_is_captums_saliency() -> None:
    assert_agree(Gradient().over(view, X), captum.attr.Saliency(NET).attribute(X, target=TARGET, abs=False), 1e-12)


@no_warning_about_gradients
def test_input_x_gradient_is_captums() -> None:
    assert_agree(InputXGradient().over(view, X), captum.attr.InputXGradient(NET).attribute(X, target=TARGET), 1e-12)


@pytest.mark.parametrize("baseline", [0.0, BASELINE, BACKGROUND[:1]], ids=["zero", "number", "row"])
@pytest.mark.parametrize("steps", [3, 50])
def test_integrated_gradients_is_captums_step_by_step(steps: int, baseline: float | Tensor) -> None:
    oracle = captum.attr.IntegratedGradients(NET)
    theirs = oracle.attribute(X, baselines=baseline, target=TARGET, n_steps=steps, method="gausslegendre")
    start = baseline if isinstance(baseline, float) else baseline[0]
    assert_agree(IntegratedGradients(steps, start).over(view, X), theirs, 1e-6)  # its steps are in single precision


def test_occlusion_is_captums_feature_ablation() -> None:
    theirs = captum.attr.FeatureAblation(NET).attribute(X, baselines=BASELINE, target=TARGET)
    assert_agree(Occlusion().over(playing(baseline=BASELINE), X), theirs, 1e-12)


def test_occlusion_of_groups_is_captums_feature_ablation_with_a_mask() -> None:
    theirs = captum.attr.FeatureAblation(NET).attribute(X, baselines=BASELINE, target=TARGET, feature_mask=GROUPS[None])
    assert_agree(Occlusion().over(playing(baseline=BASELINE, groups=GROUPS), X)[:, GROUPS], theirs, 1e-12)


def test_occlusion_of_patches_is_captums_sliding_window() -> None:
    oracle = captum.attr.Occlusion(NET)
    theirs = oracle.attribute(X, (2,), strides=(2,), baselines=BASELINE, target=TARGET)
    assert_agree(Occlusion().over(playing(baseline=BASELINE, groups=GROUPS), X)[:, GROUPS], theirs, 1e-6)


def test_shapley_is_captums_over_all_orders() -> None:
    theirs = captum.attr.ShapleyValues(NET).attribute(
        X, baselines=BASELINE, target=TARGET, feature_mask=GROUPS[None], perturbations_per_eval=1
    )
    assert_agree(Shapley().over(playing(baseline=BASELINE, groups=GROUPS), X)[:, GROUPS], theirs, 1e-5)


def captums_kernel_shap(samples: int, seed: int) -> Tensor:
    oracle = captum.attr.KernelShap(NET)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        each = [
            oracle.attribute(x[None], BASELINE, TARGET, n_samples=samples, perturbations_per_eval=samples) for x in X
        ]
    return torch.cat(each).to(F64)


def test_captums_kernel_shap_approaches_the_exact_values() -> None:
    theirs, ours = captums_kernel_shap(1500, seed=0), Shapley().over(playing(baseline=BASELINE), X)
    assert_agree(ours, theirs, 0.15)
    assert (ours - theirs).square().mean() < 0.002 * theirs.var()


def test_at_equal_coalitions_the_sampled_values_are_nearer_than_captums() -> None:
    exact = Shapley().over(playing(baseline=BASELINE), X)
    ours = [Shapley(samples=40, seed=seed).over(playing(baseline=BASELINE), X) for seed in range(5)]
    theirs = [captums_kernel_shap(42, seed) for seed in range(5)]  # nobody and everybody are among them
    error_of_ours, error_of_theirs = ((torch.stack(v) - exact).square().mean() for v in (ours, theirs))
    assert 0 < error_of_ours < error_of_theirs / 4


@no_warning_about_colours
@pytest.mark.parametrize("samples", [None, 62], ids=["exact", "kernel"])
def test_shapley_with_a_background_is_shaps_kernel_explainer(samples: int | None) -> None:
    import shap

    oracle = shap.KernelExplainer(lambda rows: NET(torch.from_numpy(rows)).numpy(), BACKGROUND.numpy())
    # 62 coalitions are all there are: its regression is exact
    theirs = torch.from_numpy(oracle.shap_values(X.numpy(), nsamples=62, l1_reg=False, silent=True))  # [n, p, k]
    ours = Shapley(samples).over(lambda x: game(NET, x, background=BACKGROUND), X)
    for k in range(3):
        assert_agree(ours[..., k], theirs[..., k], 1e-9)


@pytest.mark.slow  # shap compiles it first
@no_warning_about_colours
def test_shapley_with_a_background_is_shaps_exact_explainer() -> None:
    from shap import ExactExplainer
    from shap.maskers import Independent

    oracle = ExactExplainer(
        lambda rows: NET(torch.from_numpy(rows)).numpy()[:, TARGET], Independent(BACKGROUND.numpy())
    )
    ours = Shapley().over(playing(background=BACKGROUND), X)
    assert_agree(ours, torch.from_numpy(oracle(X.numpy()).values), 1e-9)


def test_a_wrong_baseline_is_found() -> None:
    theirs = captum.attr.FeatureAblation(NET).attribute(X, baselines=BASELINE, target=TARGET)
    with pytest.raises(AssertionError):
        assert_agree(Occlusion().over(playing(baseline=0.0), X), theirs, 1e-3)


def test_a_degenerate_oracle_is_found() -> None:
    with pytest.raises(AssertionError):
        assert_agree(torch.zeros(4, 6), torch.zeros(4, 6), 1e-6)
