"""A scikit-learn classifier for images that learns from a few examples of each class and explains its predictions."""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import checks, weights
from ..episodes import Examples, State
from ..explainers.learned.explainer import PlayerExplainer
from ..explanation import Explanation
from ..joint import Joint
from ..tables.selection import weigh
from ..threads import one_thread
from . import deletions, pixels
from .ink import GRID, Ink, background, dark_share, hidden_patches
from .labels import classes
from .pretrained import PretrainedEstimator, Stored

PATCHES = [f"row {row + 1}, column {column + 1}" for row in range(GRID) for column in range(GRID)]
_ROWS, _TOKENS = 64, 256  # images at a time; when explaining, images times classes; results do not change


class ImageClassifier(ClassifierMixin, PretrainedEstimator):
    """Predict and explain the class of each image, given a few training images of each class.

    The model is made for drawings, characters and symbols: light strokes on a dark background, or dark strokes on a
    light one. Images have the shape [n, c, h, w] with 1 or 3 channels, 28 to 64 pixels on each side, and values from 0
    to 1. Three channels are read as one, their luminance. The images are resized to the size that the model reads.
    Each call may have images of another size and another number of channels. All images must have the same background.
    The brightness of the background is the median of the pixels at the border of the training images. Strokes are dark
    if most training images differ from the background towards dark. `notes_` lists training images that do not.

    Each image is divided into a 4 × 4 grid of patches. If 4 does not divide the height, the patches of the first rows
    are one pixel higher than the others, as in `numpy.array_split`; the same holds for the width. A patch with a NaN
    pixel is hidden as a whole: the model reads the empty background in its place. Therefore, `predict_proba` of an
    image with some patches set to NaN is the prediction without these patches. Anyone can compute exact Shapley values
    of the same model in this way, and compare `explain` with them.

    `fit` sets `classes_` [k], `notes_` (remarks on the training images), `mapping_` (the pretrained model), `ink_` (the
    map from images to its input), `support_` (the training images as the model reads them) and `state_` (the state of
    the model after adapting to them).

    >>> import mapsto as mt
    >>> images, labels = mt.tasks.PlantedStrokes(ways=5, shots=1, queries=2, distractors=0).batch(0, 1).support[:2]
    >>> clf = ImageClassifier().fit(images[0], labels[0])
    >>> clf.predict(images[0]).tolist() == labels[0].tolist()
    True
    >>> clf.explain(images[0]).values.shape
    (5, 16, 5)
    """

    weights_file = weights.IMAGES
    rows_are = "images"

    classes_: np.ndarray
    mapping_: Joint
    ink_: Ink

    def fit(self, images: Any, labels: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Adapt the model to training images `[n, c, h, w]` and their labels `[n]`, without training.

        Labels may be texts, whole numbers or booleans, and there must be at least two classes. One image of each class
        is enough. `sample_weight` [n] holds the weights of the images, of which only the ratios matter. An image of
        weight 0 is left out. If `sample_weight` is None, all images have equal weights.

        Raises:
            MapstoError: if the images do not have the shape [n, c, h, w] with the channels, sizes and values above, an
                image has no visible patch, the number of labels is not n, a label is missing, there are fewer than two
                classes, or a weight is negative, infinite or missing.
        """
        x = pixels.read(images)
        checks.shape((len(x),), "one label for each image", labels=np.asarray(labels))
        _refuse_hidden(x)
        rows, weight = weigh(sample_weight, len(x), most=0)
        self.classes_, indices = classes(labels, rows, len(x), name="labels")
        self.n_rows_, self.rows_, self.mapping_ = len(x), rows, self._mapping()
        x, share = x[torch.as_tensor(rows)], torch.as_tensor(weight / weight.sum(), dtype=torch.float32)
        paper = background(x, share)
        of_dark = dark_share(x, paper)
        self.ink_ = Ink(paper, bool(share @ of_dark >= 0.5) and paper > 0, self._size())
        self.notes_ = _notes(x, self.ink_, of_dark)
        return self._adapt(Examples(self._filled(self.ink_(x)), torch.as_tensor(indices), share))

    def predict(self, images: Any) -> Shaped[np.ndarray, " n"]:
        """Return the most probable class of each image of `images` [n, c, h, w]."""
        best = self.predict_proba(images).argmax(1)
        return self.classes_[best]

    def predict_proba(self, images: Any) -> Float[np.ndarray, "n k"]:
        """Return the class probabilities [n, k] of each image; a patch with a NaN pixel is hidden.

        Raises:
            MapstoError: if the images do not have the shape [n, c, h, w] with 1 or 3 channels, 28 to 64 pixels on each
                side and values from 0 to 1.
        """
        x = self._filled(self._input(images))
        with torch.no_grad(), one_thread():
            return torch.cat([self._answer(self.state_, part) for part in x.split(_ROWS)]).numpy()

    def explain(self, images: Any) -> Explanation:
        """Return the `Explanation` of the predictions, in which each of the 16 patches has a contribution.

        `values` has shape [n, 16, k], in probability. The patches are numbered row by row and named "row 1, column 1"
        to "row 4, column 4". `base_values + values.sum(1)` is `predict_proba(images)`, and `base_values` is the
        prediction for an image without a visible patch. A hidden patch contributes exactly 0, and so does an
        empty patch, which has the background's brightness everywhere. `data` [n, 16] is the mean ink of each patch,
        from 0 to 1, or NaN if the patch is hidden. `trust` [n] is the expected R² of the values of an image to exact
        Shapley values, from 0 to 1.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it.
        """
        x = self._input(images)
        parts = self._on_each_core(self._filled(x))
        values, base, trust = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        ink = x.unflatten(3, (GRID, -1)).unflatten(2, (GRID, -1)).mean((3, 5)).flatten(1)  # [n, 16]
        cells, kinds = ink.double().numpy(), ["patch"] * len(PATCHES)
        return Explanation(values, base, cells, PATCHES, list(self.classes_), trust=trust, kinds=kinds)

    def influence(self, images: Any, among: ArrayLike | None = None) -> Float[np.ndarray, "n n_train k"]:
        """Return the change of each probability if a training image is deleted, `[n, number of training images, k]`.

        The change is the probability without the training image minus the probability with it, so it is negative if the
        image raised the probability. The influence is exact: for each training image, the model adapts again with the
        weight of this image set to 0. The brightness of the background stays the same. `among` (positions of training
        images or a boolean mask) selects training images; if None, all are used.

        Raises:
            MapstoError: in any case in which `predict_proba` raises it.
        """
        x = self._filled(self._input(images))
        return self._influence(
            x, among, _ROWS, partial(deletions.mapped, at_once=max(1, _ROWS // len(self.support_.w)))
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan, tags.input_tags.two_d_array = True, False
        return tags

    def _mapping(self) -> Joint:
        return weights.load_images(ways=len(self.classes_))

    def _answer(self, state: State, x: Tensor) -> Float[Tensor, "n k"]:
        return self.mapping_.predict(state, x).double().softmax(-1)

    def _on_each_core(self, x: Float[Tensor, "n 1 s s"]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the results of `_reasons` for parts of the inputs.

        Each core has its own copy of the model, because features are read through hooks, which threads would share.
        """
        limit = max(1, _TOKENS // len(self.classes_))
        with one_thread() as cores, ThreadPoolExecutor(cores) as pool:
            shares = x.chunk(cores)
            models = [self.mapping_, *(copy.deepcopy(self.mapping_) for _ in shares[1:])]
            done = pool.map(lambda m, share: [self._reasons(m, part) for part in share.split(limit)], models, shares)
            return [part for parts in done for part in parts]

    def _reasons(
        self, mapping: Joint, x: Float[Tensor, "n 1 s s"]
    ) -> tuple[Float[Tensor, "n p k"], Float[Tensor, "n k"], Float[Tensor, " n"]]:
        """Return the values, the base and the trust of inputs in which hidden patches are filled.

        To the model, a hidden patch is an empty one. Hiding an empty patch changes nothing, so its value is 0.
        """
        reasons = mapping.explain(self.state_, x)["why"]
        values, base, trust = (part.double() for part in (reasons.values, reasons.base, reasons.trust))
        probabilities = base / base.sum(-1, keepdim=True)
        return values - values.mean(-1, keepdim=True), probabilities, trust  # changes of probability sum to 0

    def _input(self, images: Any) -> Float[Tensor, "n 1 s s"]:
        """Return the input of the model, in which hidden patches are NaN."""
        check_is_fitted(self)
        return self.ink_(pixels.read(images))

    def _filled(self, x: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
        """Return the input with the baseline of the game in hidden patches."""
        players = self._why.players
        return players.show(x, x.new_ones(len(x), 1, players.count))[:, 0]

    @property
    def _why(self) -> PlayerExplainer:
        return self.mapping_.explainers["why"]  # type: ignore[return-value]

    def _size(self) -> int:
        return int(self._why.players.groups.shape[-1])

    def _stored(self) -> Stored:
        return Stored({}, {"background": self.ink_.background, "dark": self.ink_.dark})

    def _restore(self, about: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.ink_ = Ink(about["background"], about["dark"], self._size())


def _refuse_hidden(x: Float[Tensor, "n c h w"]) -> None:
    """Raise MapstoError if an image has no visible patch."""
    empty = hidden_patches(x).all(2).all(1).nonzero().flatten().tolist()
    got = f"image {(*empty, 0)[0]} without a visible patch"
    checks.expect(not empty, "images", got, "at least one patch without NaN in each image", "leave it out")


def _notes(x: Float[Tensor, "n c h w"], ink: Ink, of_dark: Float[Tensor, " n"]) -> list[str]:
    notes = []
    if ink.dark:
        bright = f"brightness {ink.background:.2f} at the border"
        notes.append(f"images: strokes are darker than the background ({bright}), so they are read as dark on light.")
    if other := int(((of_dark < 0.5) if ink.dark else (of_dark > 0.5)).sum()):
        side = "lighter" if ink.dark else "darker"
        notes.append(
            f"images: {other} of {len(x)} training images are mostly {side} than the background. Their strokes are not "
            "read; invert these images."
        )
    if x.shape[1] == 3:
        notes.append("images: three channels are read as one, their luminance.")
    if hidden := int(hidden_patches(x).any(2).any(1).sum()):
        notes.append(f"images: {hidden} of {len(x)} training images have hidden patches, read as empty background.")
    return notes
