"""Encode a text by its hashed features: a learned vector beside a random projection, both with learned weights.

    learned = Σ_f exp(a_f) · e_f,   lexical = Σ_f exp(b_f) · sign_f · unit(place_f),
    output = scale · (√m · learned / ‖learned‖,  √(1 − m) · lexical / ‖lexical‖)

The sums are over the features f of the text. The lexical part compares words as they are written, as TF-IDF does, with
learned weights in place of inverse document frequencies; sign and place are fixed functions of f (Weinberger et al.
2009, "Feature Hashing for Large Scale Multitask Learning", eq. 2). A word that was never seen in training counts too.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks


class TextEncoder(nn.Module):
    """Map texts, given as hashed features of their words, to embeddings whose distances compare meaning and spelling.

    The input `[n, m]` holds the features of each text as whole numbers from 1, as `mt.tasks.Texts` gives them; 0 is
    padding. The order of the features does not matter. The length of each embedding `[width + sketch]` is the learned
    scale, or 0 if the text has no feature.

    Args:
        buckets: the number of rows of the table of features; features with the same remainder share a row.
        width: the size of the learned part of the embedding.
        sketch: the size of the lexical part, which has no parameters but the weights of the features.
        mixture: the share m of the learned part in the inner products of embeddings, from 0 to 1. It is not learned: it
            would grow with training, and with it the errors on classes that training does not see.

    Raises:
        MapstoError: if `buckets` is below 2, `width` or `sketch` is below 1, or `mixture` is not from 0 to 1.

    >>> TextEncoder(buckets=64, width=8, sketch=16)(torch.tensor([[5, 3, 0], [3, 5, 0]])).shape
    torch.Size([2, 24])
    """

    place: Tensor
    sign: Tensor

    def __init__(self, buckets: int = 2**14, width: int = 120, sketch: int = 1024, mixture: float = 0.5):
        super().__init__()
        checks.count(2, buckets=buckets)
        checks.count(width=width, sketch=sketch)
        checks.between(0, 1, mixture=mixture)
        self.buckets, self.width, self.sketch, self.mixture = buckets, width, sketch, mixture
        self.embedding = nn.Embedding(buckets, width)
        self.weights = nn.Embedding(buckets, 2)  # the logarithms a and b
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        nn.init.zeros_(self.weights.weight)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0) / 2))
        spread = (torch.arange(buckets) * 2654435761) % 2**32  # Knuth's multiplicative hashing
        self.register_buffer("place", (spread >> 12) % sketch, persistent=False)
        self.register_buffer("sign", ((spread >> 8) % 2 * 2 - 1).float(), persistent=False)

    def forward(self, x: Int[Tensor, "n m"]) -> Float[Tensor, "n f"]:
        """Return the embeddings of texts."""
        return self.embed(self.sums(x))

    def sums(self, x: Int[Tensor, "n m"]) -> Float[Tensor, "n f"]:
        """Return the sums over the features of each text. The sums of a text are those of its words, added."""
        x = torch.where(x > 0, 1 + x % (self.buckets - 1), 0)
        a, b = (self.weights(x).exp() * (x > 0)[..., None]).unbind(-1)  # [n, m]
        learned = torch.einsum("nm,nmd->nd", a, self.embedding(x))
        lexical = torch.zeros(x.shape[0], self.sketch).to(b).scatter_add(1, self.place[x], b * self.sign[x].to(b))
        return torch.cat([learned, lexical], 1)

    def embed(self, sums: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """Return the embeddings of texts, given the sums over their features."""
        learned, lexical = (F.normalize(part, dim=1, eps=1e-6) for part in sums.split([self.width, self.sketch], 1))
        learned, lexical = self.mixture**0.5 * learned, (1 - self.mixture) ** 0.5 * lexical
        return self.log_scale.exp() * torch.cat([learned, lexical], 1)
