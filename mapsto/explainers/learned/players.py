"""Players: the parts of an input row that are hidden together, and the values that replace hidden parts.

A hidden part takes one value, or those of other rows (the background), over which the outcomes are averaged. A fixed
value such as 0 may be unlike any row that the model has seen. Rows of the task's support set are real rows, but each of
them is one more question to the model.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from ... import checks
from ..groups import patches


class Players(nn.Module):
    """A grouping of the entries of a row into players; the entries of a player are hidden or visible together.

    Args:
        groups: for each entry of a row, the index of its player, 0 … players − 1.
        baseline: the values that replace hidden entries: a number, a tensor with the shape of a row, several such rows
            `[b, ...]`, or "support" for rows of the task's support set (at most 32). Outcomes are averaged over rows.

    Raises:
        MapstoError: if `groups` does not hold integers from 0, a player has no entry, or `baseline` is another word,
            holds no rows, or does not have the shape of a row.

    >>> pairs = Players(torch.tensor([0, 0, 1, 1]))
    >>> pairs.show(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    tensor([[[1., 2., 0., 0.],
             [0., 0., 3., 4.]]])
    """

    groups: Int[Tensor, "..."]
    baseline: Tensor
    rows: Tensor  # [b, ...], which replace hidden entries, unless those of the support set do
    slots: Int[Tensor, "p m"]  # the entries of each player; −1 is padding

    def __init__(self, groups: Int[Tensor, "..."], baseline: float | Tensor | str = 0.0):
        super().__init__()
        whole = not groups.is_floating_point() and groups.numel() > 0 and int(groups.min()) >= 0
        checks.expect(whole, "groups", f"{groups.dtype} {tuple(groups.shape)}", "integers from 0, one for each entry")
        sizes = torch.bincount(groups.flatten())
        used = bool((sizes > 0).all())
        checks.expect(used, "groups", f"sizes {sizes.tolist()}", "at least one entry for each player")
        self.count, self.size = len(sizes), int(sizes.max())
        self.register_buffer("groups", groups, persistent=False)
        self.of_support = isinstance(baseline, str)
        if isinstance(baseline, str):
            checks.one_of(("support",), baseline=baseline)
            baseline = 0.0
        rows = torch.as_tensor(baseline)
        several = rows.dim() > groups.dim()
        fits = rows.dim() == 0 or (rows.shape[several:] == groups.shape and len(rows) > 0)
        shape = tuple(groups.shape)
        checks.expect(fits, "baseline", f"shape {tuple(rows.shape)}", f"a number, {shape}, or rows of this shape")
        self.register_buffer("baseline", rows.mean(0) if several else rows, persistent=False)
        self.register_buffer("rows", rows if several else rows.expand(groups.shape)[None], persistent=False)
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

    def effective(self, x: Shaped[Tensor, "n ..."], rows: Shaped[Tensor, "b ..."] | None = None) -> Bool[Tensor, "n p"]:
        """Return a mask `[n, p]` of the players whose hiding changes the row: those with an entry unlike the baseline.

        A player that is missing, or whose entries equal the baseline, leaves every outcome as it is: its Shapley value
        is exactly 0. `rows` replace hidden entries; if None, the rows of the baseline.

        >>> Players(torch.tensor([0, 0, 1, 2])).effective(torch.tensor([[0.0, 3.0, 0.0, torch.nan]]))
        tensor([[ True, False, False]])
        """
        self._fit(x)
        rows = (self.rows if rows is None else rows).to(x)
        unlike = ~x.isnan() & ((x != rows.amin(0)) | (x != rows.amax(0)))
        return (unlike.flatten(1)[:, self.slots] & (self.slots >= 0)).any(-1)

    def show(
        self, x: Shaped[Tensor, "n ..."], masks: Float[Tensor, "n c p"], hidden: Shaped[Tensor, "m l ..."] | None = None
    ) -> Shaped[Tensor, "n c ..."]:
        """Return copies of each row, one for each of its `c` masks, in which only the players with mask 1 are visible.

        `masks` has shape `[n, c, p]` for p players. Hidden entries and missing entries (NaN) take the values of
        `hidden`: one row for each row of `x` (m = n) or for all (m = 1), and for each mask (l = c) or for all (l = 1).
        If None, they take the baseline.
        """
        self._fit(x)
        shown = (masks[..., self.groups] > 0.5) & ~x.isnan()[:, None]
        return torch.where(shown, x[:, None], self.baseline.to(x) if hidden is None else hidden.to(x))

    def cells(self, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n p m"]:
        """Return the entries `[n, p, m]` of each player, padded with 0 to the size m of the largest player.

        A missing entry (NaN) becomes the baseline, or 0 if the baseline is NaN.
        """
        self._fit(x)
        full = torch.where(x.isnan(), self.baseline.to(x), x).nan_to_num(0.0).flatten(1)
        floating = full if full.is_floating_point() else torch.zeros_like(full, dtype=torch.get_default_dtype())
        return torch.where(self.slots >= 0, floating[:, self.slots.clamp(min=0)], 0.0)

    def sums(self, values: Float[Tensor, "..."]) -> Float[Tensor, "*many p"]:
        """Return the sum of the values of each player's entries, for any number of rows.

        >>> Players(torch.tensor([0, 1, 1])).sums(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 5.]])
        """
        flat = values.flatten(values.dim() - self.groups.dim())
        return torch.where(self.slots >= 0, flat[..., self.slots.clamp(min=0)], 0.0).sum(-1)

    def _fit(self, x: Tensor) -> None:
        checks.shape(("n", *self.groups.shape), "give rows with the shape that the explainer was built for", x=x)


def background(x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"], most: int = 32) -> Shaped[Tensor, "b ..."]:
    """Return the first rows with a positive weight, at most `most`; they repeat if there are fewer than n.

    >>> background(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 0.0, 1.0]))
    tensor([[1.],
            [3.],
            [1.]])
    """
    order = (w <= 0).to(torch.uint8).argsort(stable=True)
    return x[order[torch.arange(min(len(w), most), device=w.device) % (w > 0).sum().clamp(min=1)]]


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
    """One player for each of the `count` columns of a table's row; hidden columns get the `baseline`, see `Players`."""

    def __init__(self, count: int, baseline: float | Tensor | str = 0.0):
        checks.count(count=count)
        super().__init__(torch.arange(count), baseline)


class Patches(Players):
    """One player for each square patch of an image; patches have `size` × `size` pixels.

    `shape` is the shape of the image, `(..., h, w)`. Hidden pixels get the `baseline`, see `Players`.
    """

    def __init__(self, shape: tuple[int, ...], size: int, baseline: float | Tensor | str = 0.0):
        super().__init__(patches(tuple(shape), size), baseline)
