"""Adapt in one forward pass: a transformer, meta-trained over many small tables, reads the support set.

The state is the transformer's memory of the support set (keys and values), to which query rows attend. The transformer
returns the evidence e(x) of a row x. For classes, this is an unnormalised score of each class, which updates the class
frequencies π of the support set by Bayes' rule. For numbers, it is the deviation from the mean ȳ of the support set's
targets, in units of their standard deviation s:

    p_c(x) ∝ π_c · exp(e_c(x) − e_c(∅))          ŷ(x) = ȳ + s · (e(x) − e(∅))

∅ is a row whose cells are all missing. So the prediction for such a row is exactly the class frequencies, or the mean,
of the support set (prior-fitted networks: Müller et al. 2022, arXiv 2112.10510; tables: Hollmann et al. 2023, arXiv
2207.01848).

A missing cell (NaN) counts as an absent column. The body is trained on rows with missing cells, so
`predict(state, x_S)` is a prediction from the columns S alone. It serves as the value `v(S)` of a game.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation.cells import RESIDUAL, STANDING, CellEncoder, Columns, columns, in_rows, residual, scores, standing
from ..adaptation.labels import below, targets
from ..adaptation.learner import Learner
from ..adaptation.losses import LOSSES
from ..adaptation.outcomes import CLASSES, Frequencies, Outcome, canonical_codes, frequencies, moments
from ..episodes import Examples, State

LEVELS = (0.01, 0.025, *(0.05 * i for i in range(1, 20)), 0.975, 0.99)  # the levels of the predicted quantiles


class Reading(NamedTuple):
    """The state: the body's readings of `t` support sets; it reads each `e` times, so that `b = t · e`."""

    memories: list  # the body's memory of the support sets, such as keys and values
    log_weight: Float[Tensor, "b n"]
    columns: Columns
    question: Float[Tensor, "t e v"]  # the label token of a query
    outcome: Outcome
    nothing: Float[Tensor, "t e o"]  # the readout for a row whose cells are all missing


class InContext(Learner):
    """A transformer for tables that reads the support set and predicts in one forward pass, without gradient steps.

    Inputs `x` are `[n, d]`, and NaN marks a missing cell. With `loss="cross_entropy"`, the scores are log-probabilities
    of the classes, `[n, ways]`. A class without a support example has score −∞, unless the whole support set is empty;
    then all classes have equal prior probabilities. With `loss="mse"`, targets are numbers `[n, 1]`, and the score is
    the predicted mean `[n, 1]`, which is 0 if the support set is empty.

    Each row is represented by one token (a vector) for each of its cells and one more token, the label token.
    Predictions are read from the label token.

    Args:
        body: the transformer, such as `models.SetTransformer`. The module must have the attribute `width` and the
            methods `remember(tokens, log_weight)` and `forward(tokens, memories, log_weight)`, which `SetTransformer`
            describes.
        ways: the number of classes, at most 10; 1 if numbers are predicted.
        members: the number of times that the support set is read; predictions are averaged over these readings. If
            classes are predicted, they get different indices in each reading. If numbers are predicted, the targets are
            multiplied by −1 in every second reading.
        loss: "cross_entropy" for classes, "mse" for numbers.

    Raises:
        MapstoError: if `ways` is not in 1 … 10, `members` is below 1, or `loss` is unknown.
    """

    family = "model-based"

    def __init__(self, body: nn.Module, ways: int = 2, members: int = 1, loss: str = "cross_entropy"):
        super().__init__()
        checks.count(ways=ways, members=members)
        checks.expect(ways <= CLASSES, "ways", ways, f"at most {CLASSES} classes")
        checks.one_of(LOSSES, loss=loss)
        width = int(body.width)  # type: ignore[arg-type]
        self.body, self.ways, self.members, self.loss_name = body, ways, members, loss
        self.cell = CellEncoder(STANDING + RESIDUAL, width)
        self.missing = nn.Parameter(0.02 * torch.randn(width))
        self.label = nn.Parameter(0.5 * torch.randn(CLASSES + 1, 2, width))  # a class, or an unknown label:
        self.number = CellEncoder(STANDING, 2 * width)  # its label token, and the hint added to the row's cells
        self.setting = nn.Linear(2 + CLASSES, width)
        self.readout = nn.Linear(width, CLASSES + 1 + len(LEVELS))  # classes, a number's mean, its quantiles

    def adapt(self, support: Examples) -> State:
        """Return the state learned from the support set.

        The state contains the body's memory of the support set. If classes are predicted, it also contains the class
        frequencies; if numbers are predicted, the mean and the standard deviation of the targets.
        """
        classified = self.loss_name == "cross_entropy"
        y = below(self.ways, support.y) if classified else targets("mse", support.y, 1, support.x)
        return self.read(pytree.tree_map(lambda leaf: leaf[None], support._replace(y=y)), self.ways)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the log-probabilities of the classes, or the predicted means of numbers, for `n` rows."""
        evidence = self.evidence(state, self.look(state, x[None]))
        return state.outcome.average(state.outcome.answer(evidence))[0]

    def quantiles(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n q"]:
        """Return the predicted quantiles `[n, 23]` of the target of each row, for `loss="mse"`.

        The levels of the quantiles, `in_context.LEVELS`, range from 0.01 to 0.99. Each quantile is averaged over the
        `members` readings of the support set.
        """
        tokens = self.look(state, x[None])
        return state.outcome.average(state.outcome.answer(self.quantile_evidence(state, tokens)))[0]

    def features(self, state: State, x: Float[Tensor, "n d"]) -> dict[str, Tensor]:
        """Return the body's output tokens for `n` rows: `cells` `[n, e, d, v]` and `label` `[n, e, v]`.

        In each of the e readings of the support set, a row has one token for each of its d cells and one label token.
        The size of a token is v.
        """
        tokens = self.look(state, x[None])[0].movedim(1, 0)
        return {"cells": tokens[..., :-1, :], "label": tokens[..., -1, :]}

    def attentions(self, support: Examples, x: Float[Tensor, " d"]) -> Float[Tensor, "l r r"]:
        """Return the attention weights among a null row, the n support examples and the query row `x`, for each layer.

        Entry `[l, i, j]` is the weight with which row i attends to row j in layer l. It is an average over the heads,
        the columns and the `members` times that the support set is read. The n + 2 rows are the null row, the support
        examples and `x`, in this order. The null row is learned, holds no data, and attends only to itself.
        `attention_rollout(attentions)[-1, 1:-1]` is the fraction of the output tokens of `x` that comes from each
        example.

        Raises:
            MapstoError: if the body has no method `attentions`, which `SetTransformer` has.
        """
        checks.expect(
            hasattr(self.body, "attentions"), "body", f"{type(self.body).__name__} without the method `attentions`",
            "a SetTransformer",
        )  # fmt: skip
        state = self.adapt(support)
        support_tokens = self._support_tokens(pytree.tree_map(lambda leaf: leaf[None], support), state)
        both = [
            self.body.attentions(rows, state.memories, state.log_weight)  # type: ignore[operator]
            for rows in (support_tokens, self._query_tokens(state, x[None, None]))
        ]
        layers = torch.stack([torch.cat(parts, 1).mean(0) for parts in zip(*both, strict=True)])  # [l, n+1, n+1]
        null = F.one_hot(torch.zeros_like(support.w[:1]).long(), layers.shape[-1]).to(layers)  # [1, n+1]
        return F.pad(torch.cat([null.expand(len(layers), 1, -1), layers], 1), (0, 1))  # no row attends to the query row

    def read(self, support: Examples, ways: int, codes: Int[Tensor, "t e k"] | None = None) -> Reading:
        """Return the state for `t` support sets at once; their inputs are stacked as `[t, n, d]`.

        `ways` is the number of classes. Each support set is read e times, each time with another numbering of the
        classes: `codes` `[t, e, ways]` holds the number that stands for each class in each reading. If `codes` is None,
        these numbers are computed from the support sets.
        """
        about = columns(support.x, support.w)
        outcome = self._outcome(support, about, ways, codes)
        mass = in_rows(support.w)
        log_weight = torch.where(mass > 0, mass, 1.0).log().masked_fill(mass <= 0, -torch.inf)  # [t, n]
        setting = self.setting(_setting(mass, outcome))  # [t, e, v]
        members = setting.shape[1]
        reading = Reading(
            [], log_weight.repeat_interleave(members, 0), about, self.label[-1, 0] + setting, outcome, setting[..., :0]
        )
        memories = self.body.remember(self._support_tokens(support, reading), reading.log_weight)  # type: ignore[operator]
        reading = reading._replace(memories=memories)
        t, _, d = support.x.shape
        empty = self.look(reading, support.x.new_full((t, 1, d), torch.nan))
        return reading._replace(nothing=self.readout(empty[:, :, 0, -1]))

    def look(self, reading: Reading, x: Float[Tensor, "t m d"]) -> Float[Tensor, "t e m c v"]:
        """Return the body's output tokens for `m` query rows of each task: one for each column, then the label token.

        `reading` is the state that `read` returns.
        """
        tokens = self.body(self._query_tokens(reading, x), reading.memories, reading.log_weight)
        return tokens.unflatten(0, reading.question.shape[:2])

    def evidence(self, reading: Reading, tokens: Float[Tensor, "t e m c v"]) -> Float[Tensor, "t e m k"]:
        """Return the evidence of query rows: unnormalised class scores, or predicted deviations from the target mean.

        The evidence is computed from the label token, which is the last one of the `tokens` of each row. A deviation is
        divided by the standard deviation of the support targets. For a row whose cells are all missing, the evidence is
        0.
        """
        return reading.outcome.named(self.raw_evidence(reading, tokens))

    def raw_evidence(self, reading: Reading, tokens: Float[Tensor, "t e m c v"]) -> Float[Tensor, "t e m k"]:
        """Return the evidence of each reading of the support set, in the numbering or sign that this reading uses.

        The support set is read `members` times. If classes are predicted, they get different indices in each reading;
        if numbers are predicted, the targets are multiplied by −1 in every second reading. The method `evidence`, which
        explains the term, returns the same values with the original indices or the original sign.
        """
        raw = self.readout(tokens[..., -1, :]) - reading.nothing[:, :, None]
        return raw[..., reading.outcome.outputs]

    def quantile_evidence(self, reading: Reading, tokens: Float[Tensor, "t e m c v"]) -> Float[Tensor, "t e m q"]:
        """Return the predicted quantiles at the levels `LEVELS`, as deviations from the mean of the support targets.

        Each deviation is divided by the standard deviation of the support targets.
        """
        around = self.readout(tokens[..., -1, :])[..., CLASSES + 1 :].sort(-1).values
        turned = reading.outcome.named(around)
        turned = torch.where(reading.outcome.named(torch.ones_like(around)) > 0, turned, turned.flip(-1))
        return self.evidence(reading, tokens) + turned

    def _outcome(self, support: Examples, about: Columns, ways: int, codes: Int[Tensor, "t e k"] | None) -> Outcome:
        if support.y.is_floating_point():
            return moments(support.y, support.w, self.members)
        if codes is None:
            z = scores(support.x, about).tanh()
            codes = canonical_codes(z, support.y, support.w, ways, self.members)
        return Frequencies(frequencies(support.y, support.w, ways), codes)

    def _support_tokens(self, support: Examples, reading: Reading) -> Float[Tensor, "b n c v"]:
        """Embed the support set: its cells, each with a hint of the row's label, and the label tokens."""
        if isinstance(reading.outcome, Frequencies):
            code = reading.outcome.codes.gather(-1, support.y[:, None].expand(-1, reading.outcome.codes.shape[1], -1))
            label, hint = self.label[code].unbind(-2)  # each [t, e, n, v]
        else:
            turned = (support.y[:, None] * reading.outcome.sign[..., None, None]).flatten(0, 1)  # [b, n, 1]
            w = support.w.repeat_interleave(reading.outcome.sign.shape[1], 0)
            tokens = self.number(standing(turned, columns(turned, w)))[:, :, 0]  # [b, n, 2v]
            label, hint = tokens.unflatten(0, reading.outcome.sign.shape).chunk(2, -1)
        setting = reading.question - self.label[-1, 0]
        return self._rows(support.x, reading.columns, label + setting[:, :, None], hint)

    def _query_tokens(self, reading: Reading, x: Float[Tensor, "t m d"]) -> Float[Tensor, "b m c v"]:
        """Embed query rows, whose label is unknown."""
        shape = (*reading.question.shape[:2], x.shape[1], -1)
        return self._rows(
            x, reading.columns, reading.question[:, :, None].expand(shape), self.label[-1, 1].expand(shape)
        )

    def _rows(
        self, x: Tensor, about: Columns, label: Float[Tensor, "t e r v"], hint: Float[Tensor, "t e r v"]
    ) -> Tensor:
        """Return each row's cell tokens followed by its label token: `[b, r, d+1, v]`."""
        cells = self.cell(torch.cat([standing(x, about), residual(x, about)], -1))
        cells = torch.where(torch.isfinite(x)[..., None], cells, self.missing)[:, None] + hint[..., None, :]
        return torch.cat([cells, label[..., None, :]], -2).flatten(0, 1)


def _setting(mass: Float[Tensor, "t n"], outcome: Outcome) -> Float[Tensor, "t e s"]:
    """Describe each task: its number of rows, its number of classes, and the frequency of each code."""
    rows = (mass.sum(-1) + 1).log() / 4 - 1
    if isinstance(outcome, Frequencies):
        share = torch.zeros_like(outcome.codes, dtype=rows.dtype)
        share = share.scatter(-1, outcome.codes, outcome.known[:, None].expand(share.shape))
        share = F.pad(share, (0, CLASSES - share.shape[-1]))
    else:
        share = rows.new_zeros(*outcome.sign.shape, CLASSES)
    ways = (share > 0).sum(-1).clamp(min=1).to(rows).log() - 1  # [t, e]
    return torch.cat([torch.stack([rows[:, None].expand_as(ways), ways], -1), (share + 0.01).log() + 2], -1)
