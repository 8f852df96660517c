"""How far the outcome that an explanation predicts by itself is the model's outcome: the trust in this explanation.

    classes: 1 − ½·Σ_c |p_c − p̂_c|        numbers: 1 − ‖y − ŷ‖² / ‖y − b‖², from 0

p and y are the model's outcome, p̂ and ŷ that of the explanation, and b is what the explanation predicts if it shows
nothing. For classes, it is the largest probability with which a draw from p and a draw from p̂ agree: 1 minus the total
variation distance (Levin, Peres & Wilmer 2009, "Markov Chains and Mixing Times", Proposition 4.7). Nothing is
estimated. It says how much of the prediction the explanation accounts for, but not whether its choice of parts tells
the answer: see `mapsto.measures.audit.eval_x`.
"""

from jaxtyping import Float
from torch import Tensor


def same_probability(outcome: Float[Tensor, "n k"], rebuilt: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """Return the probability that two distributions of classes share, from 0 to 1.

    >>> import torch
    >>> same_probability(torch.tensor([[0.75, 0.25]]), torch.tensor([[0.5, 0.5]]))
    tensor([0.7500])
    """
    return 1 - (outcome - rebuilt).abs().sum(1).clamp(max=2) / 2


def same_number(
    outcome: Float[Tensor, "n k"], rebuilt: Float[Tensor, "n k"], base: Float[Tensor, "n k"]
) -> Float[Tensor, " n"]:
    """Return the share of the squared distance of numbers from `base` that is rebuilt, clipped to 0 … 1.

    >>> import torch
    >>> same_number(torch.tensor([[5.0]]), torch.tensor([[4.0]]), torch.tensor([[3.0]]))
    tensor([0.7500])
    """
    missed, moved = ((outcome - part).square().sum(1) for part in (rebuilt, base))
    return (1 - missed / moved.clamp(min=1e-12)).clamp(0, 1)
