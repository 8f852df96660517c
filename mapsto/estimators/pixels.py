"""Images as a tensor with values from 0 to 1, or one sentence that says why they cannot be read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..errors import MapstoError

SMALLEST, LARGEST = 28, 64


def read(images: Any) -> Float[Tensor, "n c h w"]:
    """Return images `[n, c, h, w]` in float32; NaN marks hidden pixels.

    Raises:
        MapstoError: if there is no image, the axes are not [n, c, h, w] with 1 or 3 channels, a side is below 28 or
            above 64 pixels, the numbers are not floating-point numbers, or a number is outside [0, 1].
    """
    array = images.detach().cpu() if isinstance(images, Tensor) else _array(images)
    _refuse_axes(tuple(array.shape))
    floating = array.is_floating_point() if isinstance(array, Tensor) else array.dtype.kind == "f"
    remedy = "divide whole numbers from 0 to 255 by 255"
    checks.expect(floating, "images", str(array.dtype), "floating-point numbers from 0 to 1", remedy)
    x = array.float() if isinstance(array, Tensor) else torch.from_numpy(np.array(array, np.float32))
    seen = x[~x.isnan()]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)
    expected, remedy = "numbers from 0 to 1, and NaN for hidden pixels", "divide them by 255 or clip them"
    checks.expect(low >= 0 and high <= 1, "images", f"numbers from {low:g} to {high:g}", expected, remedy)
    return x


def _array(images: Any) -> np.ndarray:
    try:
        return np.asarray(images)
    except (ValueError, TypeError, RuntimeError) as error:
        raise MapstoError(
            "images: got images that differ in shape, expected one array [n, c, h, w]; resize them first."
        ) from error


def _refuse_axes(shape: Sequence[int]) -> None:
    """Raise MapstoError unless the axes are [n, c, h, w], with sizes that can be read."""
    got, expected = f"shape {tuple(shape)}", "[n, c, h, w]"
    if len(shape) == 3:
        alone = shape[0] in (1, 3)
        checks.expect(False, "images", got, expected, f"add an axis: images[{'None' if alone else ':, None'}]")
    checks.expect(len(shape) == 4, "images", got, expected)
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    checks.expect(not last, "images", f"{got}, which is [n, h, w, c]", expected, "move the channels to axis 1")
    checks.expect(shape[0] > 0, "images", "no image", "at least one")
    checks.expect(shape[1] in (1, 3), "images", f"{shape[1]} channels", "1 or 3")
    fits = all(SMALLEST <= side <= LARGEST for side in shape[2:])
    sides = f"{SMALLEST} to {LARGEST} pixels on each side"
    checks.expect(fits, "images", f"{shape[2]} × {shape[3]} pixels", sides, "resize them first")
