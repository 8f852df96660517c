"""Embeddings of texts and of all their parts that an explanation asks about: by the shipped encoder, or by another.

All embeddings have length 1, because only their directions are compared. The embedding of a text without a word is the
vector 0, which is equally far from every class.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..errors import MapstoError
from ..models import TextEncoder
from ..texts.features import numbers
from ..texts.words import join, words
from .sharpness import leave_one_out

_WORDS, _TEXTS = 512, 256  # words, and texts of another encoder, at a time; results do not change


class Embedder(ABC):
    """A map from texts to directions."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n f"]:
        """Return the embeddings of texts."""

    @abstractmethod
    def sharpness(self, x: Float[Tensor, "n f"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> float:
        """Return the multiplier on cosines before the softmax, given the embeddings of the training texts."""

    @abstractmethod
    def subsets(self, parts: Sequence[str], masks: Float[Tensor, "c p"]) -> Float[Tensor, "c f"]:
        """Return the embeddings of the texts in which only the parts with mask 1 are left, one for each mask."""


@final
class Shipped(Embedder):
    """The shipped encoder: it adds up words, so the sums of a few words give all texts that are made of them."""

    def __init__(self, encoder: TextEncoder):
        self.encoder = encoder

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n f"]:
        """Return the embeddings of texts."""
        of_words = [words(text) for text in texts]
        every = list(dict.fromkeys(word for of_text in of_words for word in of_text))
        number = {word: i for i, word in enumerate(every)}
        index = torch.tensor([number[word] for of_text in of_words for word in of_text], dtype=torch.long)
        lengths = torch.tensor([len(of_text) for of_text in of_words])
        added = F.embedding_bag(index, self._sums(every), lengths.cumsum(0) - lengths, mode="sum")
        return F.normalize(self.encoder.embed(added), dim=1)

    def subsets(self, parts: Sequence[str], masks: Float[Tensor, "c p"]) -> Float[Tensor, "c f"]:
        """Return the embeddings of the texts in which only the parts with mask 1 are left."""
        every = [word for part in parts for word in words(part)]
        part = torch.tensor([j for j, part in enumerate(parts) for _ in words(part)], dtype=torch.long)
        sums = self._sums(every)
        of_parts = sums.new_zeros(len(parts), sums.shape[1]).index_add(0, part, sums)
        return F.normalize(self.encoder.embed(masks @ of_parts), dim=1)

    def sharpness(self, x: Float[Tensor, "n f"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> float:
        """Return the multiplier that was trained with the encoder: −‖s·u − s·c‖² is 2·s²·cos(u, c) but for 2·s²."""
        return 2 * float(self.encoder.log_scale.exp()) ** 2

    def _sums(self, every: Sequence[str]) -> Float[Tensor, "v f"]:
        """Return the sums of single words."""
        size = self.encoder.width + self.encoder.sketch
        groups = [every[i : i + _WORDS] for i in range(0, len(every), _WORDS)]
        sums = [self.encoder.sums(torch.from_numpy(numbers([[word] for word in group])[0])) for group in groups]
        return torch.cat([torch.zeros(0, size), *sums])


@final
class Asked(Embedder):
    """Any function from a list of texts to an array `[n, f]`, asked about each text that has a word."""

    def __init__(self, function: Callable[[list[str]], Any]):
        remedy = "pass its method that encodes texts, such as model.encode"
        checks.expect(callable(function), "encoder", type(function).__name__, "a function of a list of texts", remedy)
        self.function, self.width = function, 1  # the width is known after the first answer

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n f"]:
        """Return the embeddings of texts."""
        joined = [join(words(text)) for text in texts]
        different = list(dict.fromkeys(text for text in joined if text))
        groups = [different[i : i + _TEXTS] for i in range(0, len(different), _TEXTS)]
        answers = [self._ask(group) for group in groups]
        embeddings = torch.cat([torch.zeros(1, self.width), *answers])
        number = {"": 0} | {text: i for i, text in enumerate(different, 1)}
        return embeddings[[number[text] for text in joined]]

    def subsets(self, parts: Sequence[str], masks: Float[Tensor, "c p"]) -> Float[Tensor, "c f"]:
        """Return the embeddings of the texts in which only the parts with mask 1 are left."""
        return self.texts(
            [join([part for part, seen in zip(parts, mask, strict=True) if seen]) for mask in masks > 0.5]
        )

    def sharpness(self, x: Float[Tensor, "n f"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> float:
        """Return the multiplier with which each training text is predicted best from the others."""
        return leave_one_out(x, y, w)

    def _ask(self, texts: list[str]) -> Float[Tensor, "n f"]:
        try:
            answer = self.function(texts)
            answer = answer.toarray() if scipy.sparse.issparse(answer) else answer
            array = np.asarray(answer.detach().cpu().float() if isinstance(answer, Tensor) else answer, np.float32)
        except (TypeError, ValueError) as error:
            raise MapstoError(
                f"encoder: failed with {type(error).__name__} ({error}); it must map n texts to numbers [n, f]."
            ) from error
        fits = array.ndim == 2 and len(array) == len(texts) and array.shape[1] > 0
        got = f"an array of shape {array.shape} for {len(texts)} texts"
        checks.expect(fits, "encoder", got, f"[{len(texts)}, f]", "return one row of numbers for each text")
        self.width = array.shape[1]
        finite = bool(np.isfinite(array).all())
        checks.expect(finite, "encoder", "NaN or an infinite number", "finite numbers for each text")
        return F.normalize(torch.from_numpy(array), dim=1)
