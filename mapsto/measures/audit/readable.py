"""How well the outcome can be predicted linearly from a layer's outputs.

    ŷ_i = ȳ + h̃_iᵀB_i,    B_i = (H̃ᵀH̃ + n·penalty·1)⁻¹ H̃ᵀ(Y − ȳ) without row i            H̃ standardised

Leaving row i out costs nothing: y_i − ŷ_i = r_i / (1 − S_ii), with the residuals r = Y − ȳ − S(Y − ȳ) of the fit to all
rows and S = H̃(H̃ᵀH̃ + n·penalty·1)⁻¹H̃ᵀ (Allen 1974, "The relationship between variable selection and data augmentation").
"""

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

PENALTY, FEWEST = 0.01, 5


def held_out(
    tasks: list[tuple[dict[str, Tensor], Tensor]], classes: bool, most: int
) -> dict[str, Float[np.ndarray, " t"]]:
    """Return, for each layer, the mean quality of linear predictions in each task; of each row if there is one task.

    The quality is the accuracy or, if numbers are predicted, the fraction of their variance that is explained. Each
    task has the outputs of all layers and the outcomes. Its first `most` rows are used; a task of less than 5 rows is
    left out.
    """
    tasks = [(features, y) for features, y in tasks if len(y) >= FEWEST]
    values: dict[str, list[Tensor]] = {}
    for features, y in tasks:
        for name, h in features.items():
            values.setdefault(name, []).append(_quality(h[:most], y[:most], classes))
    if len(tasks) == 1:
        return {name: rows[0].cpu().numpy() for name, rows in values.items()}
    return {name: np.array([max(float(v.mean()), 0.0) for v in rows]) for name, rows in values.items()}


def _quality(h: Float[Tensor, "n ..."], y: Shaped[Tensor, "n ..."], classes: bool) -> Float[Tensor, " n"]:
    targets = (F.one_hot(y) if classes else y).double()
    centre = targets.mean(0)
    predicted = centre + leave_one_out(h.flatten(1).double(), targets - centre)
    if classes:
        return (predicted.argmax(1) == y).double()
    error, total = (predicted - targets).square().mean(1), (targets - centre).square().mean()
    return 1 - error / torch.where(total > 0, total, 1.0)


def leave_one_out(h: Float[Tensor, "n d"], y: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Return the predictions of centred targets by ridge regressions, each fitted to all other rows.

    >>> h = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    >>> leave_one_out(h, h).shape
    torch.Size([3, 1])
    """
    h = h.nan_to_num(0.0)
    h = h - h.mean(0)
    std = h.square().mean(0).sqrt()
    h = h / torch.where(std > 1e-9 * std.max(), std, torch.inf)  # a constant feature predicts nothing
    penalty = PENALTY * len(h) * torch.eye(min(h.shape)).to(h)
    if len(h) > h.shape[1]:  # the smaller of two equivalent systems of equations
        fit = torch.linalg.solve(h.T @ h + penalty, h.T)  # [d, n]
        fitted, own = h @ (fit @ y), (h * fit.T).sum(1)
    else:
        fit = torch.linalg.solve(h @ h.T + penalty, h @ h.T)  # [n, n]
        fitted, own = fit @ y, fit.diagonal()
    return y - (y - fitted) / (1 - own)[:, None]
