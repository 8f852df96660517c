"""Expected gradients against captum: the mean of its Integrated Gradients exactly, its GradientShap up to sampling."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mapsto.errors import MapstoError
from mapsto.explainers import ExpectedGradients, IntegratedGradients

F64 = torch.float64


def network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).to(F64)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=F64)
    return net.requires_grad_(False)


def rows(n: int, seed: int) -> Tensor:
    return torch.randn(n, 4, dtype=F64, generator=torch.Generator().manual_seed(seed))


NET, X, BACKGROUND, TARGET = network(), rows(3, 1), rows(5, 2), 2


def view(x: Tensor) -> Tensor:
    return NET(x)[TARGET]


def mean_of_captums(steps: int) -> Tensor:
    oracle = captum.attr.IntegratedGradients(NET)
    each = [
        oracle.attribute(X, baselines=row[None], target=TARGET, n_steps=steps, method="gausslegendre")
        for row in BACKGROUND
    ]
    assert torch.stack(each).std(0).min() > 0.01  # the rows disagree
    return torch.stack(each).mean(0)


@pytest.mark.parametrize("steps", [2, 16])
def test_it_is_the_mean_of_captums_integrated_gradients(steps: int) -> None:
    theirs = mean_of_captums(steps)
    assert theirs.std(0).min() > 0.01 and theirs.std(1).min() > 0.01
    ours = ExpectedGradients(BACKGROUND, steps=steps).over(view, X)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # its steps are in single precision
    mean_row = IntegratedGradients(steps, BACKGROUND.mean(0)).over(view, X)
    assert (mean_row - theirs).abs().max() > 0.01  # one mean baseline is another thing


def test_it_is_complete() -> None:
    values = ExpectedGradients(BACKGROUND, steps=24).over(NET, X)  # [n, d, k]
    torch.testing.assert_close(values.sum(1), NET(X) - NET(BACKGROUND).mean(0), rtol=1e-6, atol=1e-6)


def sampled(samples: int, seeds: int = 12) -> Tensor:
    return torch.stack([ExpectedGradients(BACKGROUND, samples, seed).over(view, X) for seed in range(seeds)])


def test_samples_are_unbiased_and_come_nearer() -> None:
    whole, few, many = ExpectedGradients(BACKGROUND, steps=32).over(view, X), sampled(10), sampled(90)
    error = few.std(0) / len(few) ** 0.5
    assert error.min() > 1e-3 and bool(((few.mean(0) - whole).abs() < 4 * error).all())
    # nine times the samples: a third of the error if drawn independently, far less as each row's places are spread out
    assert 0 < (many - whole).square().mean().sqrt() < (few - whole).square().mean().sqrt() / 9


def captums_gradient_shap(samples: int, seed: int) -> Tensor:
    state = np.random.get_state()
    np.random.seed(seed)  # captum draws from the global generators
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            oracle = captum.attr.GradientShap(NET)
            return oracle.attribute(X.clone(), BACKGROUND, n_samples=samples, stdevs=0.0, target=TARGET).detach()
    finally:
        np.random.set_state(state)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_it_is_what_captums_gradient_shap_converges_to() -> None:
    runs = torch.stack([captums_gradient_shap(400, seed) for seed in range(10)]).to(F64)
    theirs, error = runs.mean(0), runs.std(0) / len(runs) ** 0.5  # of 4,000 samples
    assert 0 < error.max() < 0.1 < theirs.std(0).min()
    ours = ExpectedGradients(BACKGROUND).over(view, X)
    assert bool(((ours - theirs).abs() < 4 * error).all())
    wrong = IntegratedGradients(16, BACKGROUND.mean(0)).over(view, X)
    assert not bool(((wrong - theirs).abs() < 4 * error).all())  # the oracle can tell


def test_what_cannot_be_a_background_is_refused() -> None:
    with pytest.raises(MapstoError, match="background: got no rows"):
        ExpectedGradients(torch.zeros(0, 4))
    with pytest.raises(MapstoError, match=r"^background: got shape \(2, 3\)"):
        ExpectedGradients(torch.zeros(2, 3, dtype=F64))(view, X[0])
    for samples, steps in ((0, 4), (None, 0), (4, 0)):
        with pytest.raises(MapstoError, match=r"^(samples|steps): got 0"):
            ExpectedGradients(BACKGROUND, samples, steps=steps)
