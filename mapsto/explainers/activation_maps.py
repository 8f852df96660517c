"""Activation maps: where in an image the features of a convolutional layer contribute to a score.

    Grad-CAM:  α_c = 1/(h·w) Σ_ij ∂view/∂A_cij,    map = ReLU(Σ_c α_c·A_c)
    HiResCAM:  map = Σ_c ∂view/∂A_c ⊙ A_c

`A [c, h, w]` are the layer's feature maps and α_c is the weight of channel c. The maps are the point of a feature view:
`views.feature` for one image, or `views.support_feature` for all support images (`[n, c, h, w]`).

Grad-CAM is that of Selvaraju et al. 2017, "Grad-CAM", eq. 1 and 2. HiResCAM is that of Draelos & Carin 2020, "Use
HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks" (arXiv 2011.08891; LayerCAM,
Jiang et al. 2021, takes positive gradients only). Grad-CAM averages the gradients over the image first, so that it also
marks places that the model did not use. If only a mean over the image and a linear head follow the layer, both maps are
the class activation map of Zhou et al. 2016, eq. 2, divided by h·w; Grad-CAM also sets its negative values to 0.
"""

from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..games import View
from .explainer import ViewExplainer
from .gradient import gradient, scale


@final
class GradCAM(ViewExplainer):
    """Map which places of an image raise a score, by summing feature maps, each weighted by its mean gradient.

    The point to explain is the feature maps of one layer, `[..., c, h, w]`, for example those of `mt.views.feature`.
    The channels are summed, so the result `[..., h, w]` has one value for each place (Selvaraju et al. 2017, eq. 1 and
    2). Negative values are set to 0. To map the places that lower the score, explain the negative of the score.

    >>> import torch
    >>> maps = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])  # two channels, 1 × 2
    >>> GradCAM()(lambda a: a[0].sum() - a[1].sum(), maps)
    tensor([[1., 0.]])
    """

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the map `[..., h, w]` of feature maps `[..., c, h, w]`; for k scores, a last axis `k` is added.

        Raises:
            MapstoError: if `point` does not have at least three axes: channels, height and width.
        """
        channel = _channel_axis(point)
        alpha = gradient(view, point).mean((channel + 1, channel + 2), keepdim=True)  # [..., c, 1, 1, (k)]
        return scale(alpha, point).sum(channel).relu()


@final
class HiResCAM(ViewExplainer):
    """Map how much each place of an image contributes to a score, by summing gradient times feature map over channels.

    The point to explain is the feature maps of one layer, `[..., c, h, w]`, for example those of `mt.views.feature`.
    The channels are summed, so the result `[..., h, w]` has one value for each place (Draelos & Carin 2020). Values are
    in the unit of the score. If the score is a linear function of the feature maps plus a constant, the map adds up to
    the score minus this constant.

    >>> import torch
    >>> maps = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])  # two channels, 1 × 2
    >>> HiResCAM()(lambda a: a[0].sum() - a[1].sum(), maps)
    tensor([[ 1., -2.]])
    """

    def attribute(self, view: View, point: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the map `[..., h, w]` of feature maps `[..., c, h, w]`; for k scores, a last axis `k` is added.

        Raises:
            MapstoError: if `point` does not have at least three axes: channels, height and width.
        """
        channel = _channel_axis(point)
        return scale(gradient(view, point), point).sum(channel)


def enlarge(values: Float[Tensor, "h w ..."], size: tuple[int, int]) -> Float[Tensor, "height width ..."]:
    """Enlarge a map `[h, w]`, or k maps `[h, w, k]`, to an image's `size` (height, width) by bilinear interpolation.

    Raises:
        MapstoError: if `values` has fewer than two axes, or `size` is below 1.

    >>> import torch
    >>> enlarge(torch.tensor([[0.0, 4.0]]), (1, 4))
    tensor([[0., 1., 3., 4.]])
    """
    got = f"shape {tuple(values.shape)} and {tuple(size)}"
    fits = values.ndim >= 2 and min(size) >= 1
    checks.expect(fits, "values, size", got, "a map [h, w], and the height and width of the image")
    flat = values.reshape(*values.shape[:2], -1).movedim(-1, 0)[None]  # [1, k, h, w]
    larger = F.interpolate(flat, tuple(size), mode="bilinear", align_corners=False)[0]
    return larger.movedim(0, -1).reshape(*size, *values.shape[2:])


def _channel_axis(point: Tensor) -> int:
    remedy = "take a feature view of a convolutional layer, or a method for features without a place"
    checks.expect(point.ndim >= 3, "point", f"shape {tuple(point.shape)}", "feature maps [c, h, w]", remedy)
    return point.ndim - 3
