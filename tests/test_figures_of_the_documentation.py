"""The figures to play with in the documentation compute what they say, and every control has a name."""

import re
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import torch

from mapsto import explainers, views

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed")
STATIC = Path(__file__).parents[1] / "docs" / "_static"

VISIT = """
const found = {before: orders.shapley(), errors}, slider = document.querySelector("[name=both]");
slider.value = -7;
slider.dispatchEvent(new Event("input", {bubbles: true}));
document.querySelector("[type=checkbox]").click();
found.effects = {...orders.effects};
found.shapley = orders.shapley();
found.foot = document.querySelector("tfoot").textContent;
found.said = document.querySelector("[data-figure=orders] .said").textContent;
document.querySelector("[type=checkbox]").click();
found.ends = ["min", "max"].map(end => {
  const place = document.querySelector("[data-figure=orders]"), sliders = place.querySelectorAll("[type=range]");
  sliders.forEach(slider => { slider.value = slider[end]; });
  sliders[0].dispatchEvent(new Event("input", {bubbles: true}));
  return [place.querySelector(".said").textContent, place.textContent];
});
const point = document.querySelector(".point"), press = key => point.dispatchEvent(new KeyboardEvent("keydown", {key}));
press("ArrowUp");
found.points = structuredClone(teaching.points);
found.whole = teaching.explain();
press("Delete");
found.left = teaching.explain();
found.unnamed = [...document.querySelectorAll("input, .point")].filter(
  control => !(control.closest("label")?.textContent.trim() || control.getAttribute("aria-label"))).length;
return found;
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    page = tmp_path_factory.mktemp("figures") / "page.html"
    scripts = "".join(f"<script>{(STATIC / f'{name}.js').read_text()}</script>" for name in ("orders", "teaching"))
    heard = '<script>const errors = []; addEventListener("error", event => errors.push(event.message));</script>'
    places = '<div data-figure="orders"></div><div data-figure="teaching"></div>'
    page.write_text(f'<!doctype html><meta charset="utf-8">{heard}{places}{scripts}', encoding="utf-8")
    return browser.evaluate(page, VISIT)


def test_nothing_goes_wrong_and_every_control_has_a_name(found: dict[str, Any]) -> None:
    assert found["errors"] == [] and found["unnamed"] == 0


def test_the_mean_over_orders_is_the_shapley_value(found: dict[str, Any]) -> None:
    effects = found["effects"]
    assert effects["both"] == -7

    def v(x: torch.Tensor) -> torch.Tensor:
        alone = 50 + effects["age"] * x[0] + effects["pressure"] * x[1] + effects["smoking"] * x[2]
        return alone + effects["both"] * x[1] * x[2]

    values = explainers.Shapley()(views.game(v, torch.ones(3), baseline=0.0))
    np.testing.assert_allclose(found["shapley"], values.numpy(), atol=1e-5)
    assert found["before"] != found["shapley"]
    assert f"= {v(torch.ones(3)):g} %" in found["foot"]
    assert found["said"] == f"v(S) = {v(torch.tensor([0.0, 1, 1])):g} %"


def test_every_prediction_of_the_orders_is_a_probability(found: dict[str, Any]) -> None:
    """At both ends of all sliders, and so between them; negative numbers have a minus sign, not a hyphen."""
    (least, words), (most, others) = found["ends"]
    assert least == "v(S) = 10 %" and most == "v(S) = 90 %"
    assert "−10" in words and not re.search(r"-\d", words + others)


def test_the_reasons_of_the_curve_are_those_of_kernel_ridge_regression(found: dict[str, Any]) -> None:
    x, y = np.array(found["points"]).T
    for left, told in (([], found["whole"]), ([0], found["left"])):
        near(told["prediction"], curve(x, y, 4.2, left))
        near(told["slope"], (curve(x, y, 4.2 + 1e-5, left) - curve(x, y, 4.2 - 1e-5, left)) / 2e-5, 1e-5)
        effects = [curve(x, y, 4.2, left) - curve(x, y, 4.2, [*left, i]) for i in range(len(x))]
        near(told["influence"], effects)
    assert abs(found["left"]["influence"][0]) == 0 < abs(found["whole"]["influence"][0])


def curve(x: np.ndarray, y: np.ndarray, at: float, left: list[int]) -> float:
    """Return the prediction after the points `left` are deleted, by the normal equations of the others."""
    from sklearn.kernel_ridge import KernelRidge

    kept = np.setdiff1d(np.arange(len(x)), left)
    model = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (2 * 1.3**2)).fit(x[kept, None], y[kept])
    return float(model.predict([[at]])[0])


def near(got: Any, expected: Any, atol: float = 1e-8) -> None:
    np.testing.assert_allclose(got, expected, atol=atol)
