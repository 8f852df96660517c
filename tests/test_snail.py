"""SNAIL beside the whole sequence run through torch's own convolutions and masked attention, one query at a time."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import SNAIL
from mapsto.learners.snail import _Attention, _Dense

SHOTS, WAYS = 6, 3


def learner(kind: type[SNAIL] = SNAIL) -> SNAIL:
    torch.manual_seed(0)
    return kind(nn.Linear(2, 4), features=4, outputs=WAYS, length=SHOTS, filters=8).double()


def task() -> tuple[Examples, Tensor]:
    g = torch.Generator().manual_seed(1)
    support = examples(torch.randn(SHOTS, 2, generator=g).double(), torch.tensor([0, 1, 2, 2, 1, 0]))
    return support, torch.randn(4, 2, generator=g).double()


def convolve(layer: _Dense, items: Tensor) -> Tensor:
    kernel = torch.stack([layer.before.weight, layer.now.weight], -1)  # [out, in, 2]
    padded = F.pad(items.T[None], (layer.dilation, 0))
    signal, gate = F.conv1d(padded, kernel, layer.now.bias, dilation=layer.dilation)[0].T.chunk(2, -1)
    return torch.cat([items, signal.tanh() * gate.sigmoid()], -1)


def attend(layer: _Attention, items: Tensor) -> Tensor:
    q, k, v = (part(items)[None] for part in (layer.query, layer.key, layer.value))
    return torch.cat([items, F.scaled_dot_product_attention(q, k, v, is_causal=True)[0]], -1)


def whole(snail: SNAIL, support: Examples, row: Tensor) -> Tensor:
    """Score one query as the last item of the sequence, as in the paper."""
    embedded = snail.body(torch.cat([support.x, row[None]]))
    told = 2 * torch.cat([F.one_hot(support.y, WAYS), torch.zeros(1, WAYS)]).to(embedded)  # √4: see _told
    items = torch.cat([embedded, told], -1)
    for layer in snail.layers:
        items = (convolve if isinstance(layer, _Dense) else attend)(layer, items)
    return snail.readout(items[-1])


def law_sequence(snail: SNAIL) -> None:
    support, x = task()
    expected = torch.stack([whole(snail, support, row) for row in x])
    torch.testing.assert_close(snail.predict(snail.adapt(support), x), expected, rtol=1e-9, atol=1e-9)


class LooksAhead(SNAIL):
    """Lets the support's items see those behind them."""

    def adapt(self, support):
        state = super().adapt(support)
        return state._replace(items=[state.items[0], *(items.flip(0) for items in state.items[1:])])


def test_each_query_ends_the_sequence():
    law_sequence(learner())
    with pytest.raises(AssertionError):
        law_sequence(learner(LooksAhead))


def test_the_support_does_not_look_ahead():
    snail, (support, _) = learner(), task()
    later = support._replace(x=torch.cat([support.x[:-1], 9 + support.x[-1:]]))
    for items, others in zip(snail.adapt(support).items, snail.adapt(later).items, strict=True):
        torch.testing.assert_close(items[:-1], others[:-1])
        assert not torch.allclose(items[-1], others[-1])


def test_the_convolutions_span_the_sequence_and_the_sizes_are_the_papers():
    snail = SNAIL(nn.Identity(), features=64, outputs=5, length=25)
    blocks = [layer for layer in snail.layers if isinstance(layer, _Dense)]
    assert [layer.dilation for layer in blocks] == 2 * [1, 2, 4, 8, 16]
    looks = [layer for layer in snail.layers if isinstance(layer, _Attention)]
    assert [(layer.key.out_features, layer.value.out_features) for layer in looks] == [(64, 32), (256, 128), (512, 256)]
    assert sum(layer.dilation for layer in blocks[:5]) >= 25


def test_its_order_tells_but_where_padding_stands_does_not():
    snail, (support, x) = learner(), task()
    told = snail.predict(snail.adapt(support), x)
    assert not torch.allclose(snail.predict(snail.adapt(Examples(*(leaf.flip(0) for leaf in support))), x), told)
    for place in (0, 3, SHOTS):
        padded = [torch.cat([leaf[:place], 5 + 0 * leaf[:2], leaf[place:]]) for leaf in support]
        padded[1] = padded[1].clamp(max=WAYS - 1)
        padded[2] = torch.cat([support.w[:place], torch.zeros(2).double(), support.w[place:]])
        torch.testing.assert_close(snail.predict(snail.adapt(Examples(*padded)), x), told)


def test_no_rows_and_rows_without_weight_say_the_same():
    snail, (support, x) = learner(), task()
    none = Examples(*(leaf[:0] for leaf in support))
    nothing = support._replace(w=0 * support.w)
    torch.testing.assert_close(snail.predict(snail.adapt(none), x), snail.predict(snail.adapt(nothing), x))


def test_an_item_is_weighted_once():
    """Half of the weight is half of what the first layer reads, in every layer."""
    snail, (support, _) = learner(), task()
    w = torch.tensor([0.4, 0.1, 0.1, 0.2, 0.1, 0.1]).double()
    state = snail.adapt(support._replace(w=w))
    weighed = w * w.sum() / w.square().sum()
    read = torch.cat([snail.body(support.x), snail._labels(support.y, snail.body(support.x))], -1)
    for items in state.items:
        torch.testing.assert_close(items[:, : read.shape[1]], weighed[:, None] * read)
    absent = snail.adapt(support._replace(w=w * (torch.arange(SHOTS) != 2)))
    assert all((items[0] == 0).all() for items in absent.items)


def test_what_is_not_to_be_seen_does_not_drown_what_is():
    """An item that scores far above must leave the shares of those before it as they are."""
    torch.manual_seed(0)
    layer, items = _Attention(3, 4, 2).float(), torch.randn(4, 3)
    loud = torch.cat([items[:3], 1e4 * items[3:]])
    w, places = torch.ones(4), torch.arange(4)
    torch.testing.assert_close(layer(loud, loud, w, places)[:3], layer(items, items, w, places)[:3])
    loud.requires_grad_()
    w = torch.tensor([1.0, 1.0, 1.0, 0.0], requires_grad=True)
    slopes = torch.autograd.grad(layer(items[:2], loud, w, None).sum(), [loud, w, *layer.parameters()])
    assert all(slope.isfinite().all() for slope in slopes)
    torch.testing.assert_close(layer(items[:2], loud, w, None), layer(items[:2], items[:3], w[:3], None))


def test_a_rule_in_the_sequence_is_learned():
    """The class of a query is that of the support example with its sign: chance is one half."""
    torch.manual_seed(0)
    snail = SNAIL(nn.Identity(), features=1, outputs=2, length=2, filters=8)
    optimizer = torch.optim.Adam(snail.parameters(), 1e-2)

    def draw() -> tuple[Examples, Examples]:
        sign = 2.0 * torch.randint(2, (6, 1)) - 1
        swapped = torch.randint(2, ())
        x = torch.tensor([[1.0], [-1.0]])
        y = ((x[:, 0] > 0).long() + swapped) % 2
        return examples(x, y), examples(sign, ((sign[:, 0] > 0).long() + swapped) % 2)

    def surprise() -> Tensor:
        support, query = draw()
        return F.cross_entropy(snail.predict(snail.adapt(support), query.x), query.y)

    for _ in range(60):
        optimizer.zero_grad()
        torch.stack([surprise() for _ in range(4)]).mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.stack([surprise() for _ in range(20)]).mean() < 0.2 * math.log(2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SNAIL(nn.Identity(), 2, 3, 0), "^length: "),
        (lambda: SNAIL(nn.Identity(), 2, 3, 5, filters=3), "^filters: "),
        (lambda: SNAIL(nn.Identity(), 2, 3, 5, loss="l1"), "^loss: "),
        (lambda: SNAIL(nn.BatchNorm1d(2), 2, 3, 5), "^body: .*track_running_stats=False"),
    ],
)
def test_what_is_no_sequence_learner_is_refused(build, message, unchecked):
    with pytest.raises(MapstoError, match=message):
        build()
