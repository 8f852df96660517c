"""The page about models of your own: its code runs, and each call has the numbers of the call named above it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

PAGE = (Path(__file__).parents[1] / "docs" / "your_model.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
PAIR = re.compile(
    r"^# (?P<library>captum|shap)(?P<sampled>, sampled)?: (?P<call>.*)\n(?:.*, .* = .*\n)?(?P<name>\w+) = ", re.M
)


def numbers(result: Any) -> np.ndarray:
    return result.detach().double().numpy() if isinstance(result, torch.Tensor) else np.asarray(result.values, float)


@pytest.mark.filterwarnings("ignore")
def test_each_call_has_the_numbers_of_the_call_beside_it(capsys: pytest.CaptureFixture) -> None:
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    compared = []
    for block in BLOCKS:
        exec(block, names)
        for pair in PAIR.finditer(block):
            ours, theirs = numbers(names[pair["name"]]), numbers(eval(pair["call"], names))
            assert ours.shape == theirs.shape and np.abs(theirs).max() > 1e-3, pair["name"]
            error = np.abs(ours - theirs).max() / np.abs(theirs).max()
            assert error < (0.2 if pair["sampled"] else 1e-4), f"{pair['name']}: {error}"
            compared.append(pair["name"])
    assert len(compared) == PAGE.count("\n# captum") + PAGE.count("\n# shap") >= 14
    assert names["quartiles"].shape == names["around"].shape == (5,)
    assert "±" in capsys.readouterr().out
