"""The annotation check that `conftest.py` switches on is really on, also inside `vmap` and `grad`."""

import pytest
import torch
from jaxtyping import TypeCheckError
from torch.func import grad, vmap

from mapsto.adaptation.losses import mse
from mapsto.episodes import Examples, examples


def test_a_wrong_shape_is_an_error() -> None:
    assert mse(torch.ones(3, 2), torch.zeros(3, 2), torch.ones(3) / 3) == 1
    with pytest.raises(TypeCheckError, match="parameter 'w'"):
        mse(torch.ones(3, 2), torch.zeros(3, 2), torch.ones(4) / 4)


def test_a_wrong_dtype_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="parameter 'scores'"):
        mse(torch.ones(3, 2, dtype=torch.int64), torch.zeros(3, 2), torch.ones(3))


def test_a_wrong_type_is_an_error() -> None:
    with pytest.raises(TypeCheckError, match="parameter 'x'"):
        examples([1.0, 2.0], torch.zeros(2))  # type: ignore[arg-type]


def test_the_check_works_inside_vmap_of_grad() -> None:
    scores, y, w = torch.ones(5, 3, 2), torch.zeros(5, 3, 2), torch.ones(5, 3)
    assert vmap(grad(mse))(scores, y, w).shape == (5, 3, 2)
    with pytest.raises(TypeCheckError, match="parameter 'w'"):
        vmap(grad(mse))(scores, y, w[:, :2])


def test_unchecked_switches_it_off(unchecked: None) -> None:
    assert isinstance(examples([1.0, 2.0], torch.zeros(2), torch.ones(2)), Examples)  # type: ignore[arg-type]
