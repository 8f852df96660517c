"""Players: the parts of an input row that are hidden together, and the value that replaces hidden parts."""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ... import checks
from ..groups import patches


class Players(nn.Module):
    """A grouping of the entries of a row into players; the entries of a player are hidden or visible together.

    Args:
        groups: for each entry of a row, the index of its player, 0 … players − 1.
        baseline: the value that replaces hidden entries: a number, or a tensor with the shape of a row.

    Raises:
        MapstoError: if `groups` does not hold integers from 0, or a player has no entry.

    >>> pairs = Players(torch.tensor([0, 0, 1, 1]))
    >>> pairs.show(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    tensor([[[1., 2., 0., 0.],
             [0., 0., 3., 4.]]])
    """

    groups: Int[Tensor, "..."]
    baseline: Tensor
    slots: Int[Tensor, "p m"]  # the entries of each player; −1 is padding

    def __init__(self, groups: Int[Tensor, "..."], baseline: float | Tensor = 0.0):
        super().__init__()
        whole = not groups.is_floating_point() and groups.numel() > 0 and int(groups.min()) >= 0
        checks.expect(whole, "groups", f"{groups.dtype} {tuple(groups.shape)}", "integers from 0, one for each entry")
        sizes = torch.bincount(groups.flatten())
        used = bool((sizes > 0).all())
        checks.expect(used, "groups", f"sizes {sizes.tolist()}", "at least one entry for each player")
        self.count, self.size = len(sizes), int(sizes.max())
        self.register_buffer("groups", groups, persistent=False)
        self.register_buffer("baseline", torch.as_tensor(baseline), persistent=False)
        order = groups.flatten().argsort(stable=True)
        place = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[groups.flatten()[order]]
        slots = torch.full((self.count, self.size), -1)
        slots[groups.flatten()[order], place] = order
        self.register_buffer("slots", slots, persistent=False)

    def visible(self, x: Shaped[Tensor, "n ..."]) -> Bool[Tensor, "n p"]:
        """Return a mask `[n, p]` of the players that are not missing: those with at least one entry that is not NaN."""
        self._fit(x)
        seen = ~x.isnan().flatten(1)[:, self.slots] & (self.slots >= 0)  # [n, p, size]
        return seen.any(-1)

    def effective(self, x: Shaped[Tensor, "n ..."]) -> Bool[Tensor, "n p"]:
        """Return a mask `[n, p]` of the players whose hiding changes the row: those with an entry unlike the baseline.

        A player that is missing, or whose entries equal the baseline, leaves every outcome as it is: its Shapley value
        is exactly 0.

        >>> Players(torch.tensor([0, 0, 1, 2])).effective(torch.tensor([[0.0, 3.0, 0.0, torch.nan]]))
        tensor([[ True, False, False]])
        """
        self._fit(x)
        unlike = (~x.isnan() & (x != self.baseline.to(x))).flatten(1)[:, self.slots] & (self.slots >= 0)
        return unlike.any(-1)

    def show(self, x: Shaped[Tensor, "n ..."], masks: Float[Tensor, "n c p"]) -> Shaped[Tensor, "n c ..."]:
        """Return copies of each row, one for each of its `c` masks, in which only the players with mask 1 are visible.

        `masks` has shape `[n, c, p]` for p players. Hidden entries and missing entries (NaN) become the baseline.
        """
        self._fit(x)
        shown = (masks[..., self.groups] > 0.5) & ~x.isnan()[:, None]
        return torch.where(shown, x[:, None], self.baseline.to(x))

    def cells(self, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n p m"]:
        """Return the entries `[n, p, m]` of each player, padded with 0 to the size m of the largest player.

        A missing entry (NaN) becomes the baseline, or 0 if the baseline is NaN.
        """
        self._fit(x)
        full = torch.where(x.isnan(), self.baseline.to(x), x).nan_to_num(0.0).flatten(1)
        floating = full if full.is_floating_point() else torch.zeros_like(full, dtype=torch.get_default_dtype())
        return torch.where(self.slots >= 0, floating[:, self.slots.clamp(min=0)], 0.0)

    def _fit(self, x: Tensor) -> None:
        checks.shape(("n", *self.groups.shape), "give rows with the shape that the explainer was built for", x=x)


def strongest(importance: Float[Tensor, "n p"], count: int) -> Bool[Tensor, "n p"]:
    """Return a mask of the `count` most important players of each row; of all players if there are fewer.

    >>> strongest(torch.tensor([[0.1, 3.0, 2.0]]), 2)
    tensor([[False,  True,  True]])
    """
    chosen = importance.topk(min(count, importance.shape[1]), 1).indices
    return torch.zeros_like(importance, dtype=torch.bool).scatter(1, chosen, True)


def random_masks(visible: Bool[Tensor, "n p"], count: int) -> Float[Tensor, "n c p"]:
    """Draw `count` masks for each row: a share, uniform from 0 to 1, and each visible player with this probability.

    All numbers of shown players are equally probable, so a network that is trained on such masks knows small sets too.
    """
    share = torch.rand(len(visible), count, 1, device=visible.device)
    masks = torch.rand(len(visible), count, visible.shape[1], device=visible.device) < share
    return (masks & visible[:, None]).to(torch.get_default_dtype())


class Columns(Players):
    """One player for each of the `count` columns of a table's row; hidden columns get the value `baseline`."""

    def __init__(self, count: int, baseline: float = 0.0):
        checks.count(count=count)
        super().__init__(torch.arange(count), baseline)


class Patches(Players):
    """One player for each square patch of an image; patches have `size` × `size` pixels.

    `shape` is the shape of the image, `(..., h, w)`. Hidden pixels get the value `baseline`.
    """

    def __init__(self, shape: tuple[int, ...], size: int, baseline: float = 0.0):
        super().__init__(patches(tuple(shape), size), baseline)
