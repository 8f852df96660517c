"""Similarity of representations: whether two layers, or one layer before and after adaptation, agree on like rows.

    CKA(X, Y) = HSIC(XXᵀ, YYᵀ) / √(HSIC(XXᵀ, XXᵀ)·HSIC(YYᵀ, YYᵀ)),     HSIC(K, L) ∝ tr(K·H·L·H),  H = 1 − 11ᵀ/n
    RSA(X, Y) = Spearman correlation of ‖x_i − x_j‖ with ‖y_i − y_j‖ over the pairs of rows i < j

Linear centred kernel alignment is that of Kornblith et al. 2019, "Similarity of Neural Network Representations
Revisited", §3, `‖YᵀX‖² / (‖XᵀX‖·‖YᵀY‖)` of centred features: unchanged by rotations and by a common scale of all
features, but not by other linear maps, which is wanted (§2). With few rows and many features even unrelated features
score high; `debiased=True` uses the unbiased estimate of HSIC (Song et al. 2012; Nguyen, Raghu & Kornblith 2021, "Do
Wide and Deep Networks Learn the Same Things?"), which is then 0 on average, sometimes below 0, and needs four rows.
Representational similarity analysis is that of Kriegeskorte, Mur & Bandettini 2008. Departure: their distance is 1 −
Pearson's correlation of two rows, which one or two features do not have; here it is Euclidean.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..measures.faithfulness.ranking import midranks
from .layers import Features


class Similarity(NamedTuple):
    """The similarity of each pair of `r` representations: layers × states, with the states of a layer side by side."""

    layers: tuple[str, ...]
    steps: int
    matrix: Float[Tensor, "r r"]  # nan for a representation that is the same for all rows
    measure: str = "linear CKA"


def cka(x: Float[Tensor, "_n d"], y: Float[Tensor, "_n e"], debiased: bool = False) -> Float[Tensor, ""]:
    """Return the linear CKA of two representations of the same rows: 1 if they differ only by rotation and scale.

    CKA is centred kernel alignment. With few rows and many features, even unrelated representations have a high CKA. If
    `debiased` is True, an estimate is used that is 0 on average for unrelated representations.

    Raises:
        MapstoError: if the representations differ in their number of rows, or have fewer than two rows (four if
            `debiased`), or if numbers are not finite.

    >>> x = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]])
    >>> cka(x, 3 * x @ torch.tensor([[0.0, -1.0], [1.0, 0.0]])).round(decimals=6)
    tensor(1., dtype=torch.float64)
    """
    _check_rows(x, y, 4 if debiased else 2)
    return _normalised(torch.stack([_centred(f, debiased) for f in (x, y)]))[0, 1]


def rsa(x: Float[Tensor, "_n d"], y: Float[Tensor, "_n e"]) -> Float[Tensor, ""]:
    """Return the rank correlation of the distances between rows in two representations of the same rows.

    The result is 1 if the pairs of rows, sorted by distance, have the same order in both representations. This is the
    representational similarity analysis of Kriegeskorte, Mur & Bandettini 2008, with Euclidean distances.

    Raises:
        MapstoError: if the representations differ in their number of rows, or have fewer than three rows, or if numbers
            are not finite.
    """
    _check_rows(x, y, 3)
    return _normalised(torch.stack([_ranked_distances(f) for f in (x, y)]))[0, 1]


def cka_over(features: Features, debiased: bool = False) -> Similarity:
    """Return the linear CKA of every two representations; each layer in each adapted state gives one representation.

    `features` is the result of `features_over`. `debiased` has the same meaning as in `cka`.
    """
    parts = _parts(features, 4 if debiased else 2)
    return _similarity(features, torch.stack([_centred(f, debiased) for f in parts]))


def rsa_over(features: Features) -> Similarity:
    """Return the `rsa` of every two representations; each layer in each adapted state gives one representation.

    `features` is the result of `features_over`.
    """
    ranked = torch.stack([_ranked_distances(f) for f in _parts(features, 3)])
    return _similarity(features, ranked)._replace(measure="RSA")


def _parts(features: Features, least: int) -> list[Tensor]:
    parts = [f for steps in features.values() for f in steps]  # [n, d] each
    _check_rows(parts[0], parts[0], least)
    return parts


def _similarity(features: Features, vectors: Float[Tensor, "r q"]) -> Similarity:
    return Similarity(tuple(features), len(next(iter(features.values()))), _normalised(vectors))


def _normalised(vectors: Float[Tensor, "r q"]) -> Float[Tensor, "r r"]:
    """Return the products of all pairs, divided by the lengths of both; nan for a vector of length 0."""
    products = vectors @ vectors.T
    squares = torch.where(products.diagonal() > 0, products.diagonal(), math.nan)
    return products / torch.outer(squares, squares).sqrt()


def _centred(x: Float[Tensor, "n d"], debiased: bool) -> Float[Tensor, " q"]:
    """Return the Gram matrix of the rows as a vector, centred so that the product of two of them estimates HSIC.

    If unbiased, its diagonal is 0 and its rows sum to 0: U-centring (Székely & Rizzo 2014, "Partial distance
    correlation with methods for dissimilarities", definition 2), whose products are n(n − 3) times the estimate of Song
    et al.
    """
    wide = x.double()
    x = wide - wide.mean(0)
    x = torch.where(x.norm() > 1e-12 * wide.norm(), x, 0.0)  # rounding is no variation
    k, n = x @ x.T, len(x)
    if debiased:
        k = k - torch.diag(k.diagonal())
        rows = k.sum(0) / (n - 2)
        k = k - rows[:, None] - rows[None, :] + k.sum() / ((n - 1) * (n - 2))
        k = k - torch.diag(k.diagonal())
    return k.flatten()


def _ranked_distances(x: Float[Tensor, "n d"]) -> Float[Tensor, " q"]:
    """Return the centred ranks of the distances of all pairs; ties share their mean rank."""
    x = x.double()
    i, j = torch.triu_indices(len(x), len(x), 1, device=x.device)
    d = (x[i] - x[j]).norm(dim=1)
    ranks = midranks(d)
    return ranks - ranks.mean()


def _check_rows(x: Tensor, y: Tensor, least: int) -> None:
    checks.shape(("n", "d"), "one vector for each row; flatten other shapes", x=x, y=y)
    checks.expect(len(x) == len(y), "x, y", f"{len(x)} and {len(y)} rows", "the same rows")
    checks.expect(len(x) >= least, "x", f"{len(x)} row(s)", f"at least {least}")
    checks.finite(x=x, y=y)
