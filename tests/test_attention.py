"""Attention: two ways to the same numbers; and the transformer over cells, whose columns have no names."""

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mapsto import attention
from mapsto.attention import attend, attention_weights, fused
from mapsto.episodes import examples
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.models.set_transformer import Layer


def parts(dtype=torch.float64, bias=True):
    """Queries, keys, values, and a bias that removes one key of the first set and two of the second."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, r, 8, generator=generator, dtype=dtype) for r in (5, 7, 7))
    weight = torch.rand(2, 7, generator=generator, dtype=dtype)
    weight[0, 2] = weight[1, 0] = weight[1, 5] = 0
    return (q, k, v, weight.log()) if bias else (q, k, v)


def by_hand(q, k, v, bias=None, scale=8**-0.5):
    """Vaswani et al. 2017, eq. 1, weights multiplying the exponentials."""
    weight = 1.0 if bias is None else bias.exp()[:, None, None]
    e = weight * (torch.einsum("bhre,bhne->bhrn", q, k) * scale).exp()
    return torch.einsum("bhrn,bhnf->bhrf", e / e.sum(-1, keepdim=True), v)


@pytest.fixture
def kernels(monkeypatch):
    """The threads in which torch's own kernel ran."""
    ran, kernel = [], F.scaled_dot_product_attention

    def recorded(*args, **kwargs):
        ran.append(threading.current_thread())
        return kernel(*args, **kwargs)

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", recorded)
    return ran


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_written_out_and_fused_are_the_formula(kernels, dtype, atol, bias):
    given = parts(dtype, bias)
    expected = by_hand(*given)
    assert expected.std() > 0.1
    torch.testing.assert_close(attend(*given), expected, rtol=0, atol=atol)
    assert not kernels
    with fused():
        torch.testing.assert_close(attend(*given), expected, rtol=0, atol=atol)
    assert len(kernels) == 1
    for scale in (1.0, 1 / 8):  # mutants: without √e, and with e
        with pytest.raises(AssertionError):
            torch.testing.assert_close(attend(*given), by_hand(*given, scale=scale), rtol=0, atol=atol)


def test_fused_has_the_same_slopes():
    *given, bias = parts()
    given = [part.requires_grad_() for part in given]
    written = torch.autograd.grad(attend(*given, bias).square().sum(), given)
    with fused():
        kernel = torch.autograd.grad(attend(*given, bias).square().sum(), given)
    for a, b in zip(written, kernel, strict=True):
        assert a.abs().max() > 0.1
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_removed_key_is_as_if_it_were_not_there():
    q, k, v, bias = (part[:1] for part in parts())
    there = torch.isfinite(bias[0])
    torch.testing.assert_close(attend(q, k, v, bias), attend(q, k[:, :, there], v[:, :, there], bias[:, there]))
    weight = attention_weights(q, k, bias)
    torch.testing.assert_close(weight.sum(-1), torch.ones(1, 3, 5, dtype=torch.float64))
    assert (weight[..., ~there] == 0).all() and (weight[..., there] > 0).all()


def test_fused_ends_with_its_block_even_by_an_error(kernels):
    with pytest.raises(RuntimeError, match="inside"), fused():
        attend(*parts())
        raise RuntimeError("inside")
    attend(*parts())
    assert len(kernels) == 1
    with fused():
        with fused():
            attend(*parts())
        attend(*parts())  # the inner block's end does not end the outer one
    assert len(kernels) == 3


def test_fused_is_of_one_thread(kernels):
    def other():
        attend(*parts())

    with fused():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert not kernels
        attend(*parts())
    assert kernels == [threading.current_thread()]


# --- a layer ----------------------------------------------------------------------------------------------------------


def moved(module, seed=0):
    """The module in float64 with weights far from their start."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.double().requires_grad_(False)


def tokens(r, seed, c=3, width=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, r, c, width, generator=generator, dtype=torch.float64)


def row_attention_weights_by_hand(layer, query, support, w, tie):
    """Shares `[b, h, r, n+1, c]` of the null row and the support rows; whole-row heads' scores are divided by `tie`."""
    h, c = layer.heads, query.shape[2]

    def heads(x, weight):
        return (layer.row_norm(x) @ weight.T).unflatten(-1, (h, -1))  # [b, r, c, h, e]

    q = heads(query, layer.row_q.weight) * layer.sharpness.exp()
    k = heads(support, layer.row_kv.weight[: query.shape[-1]])
    k = torch.cat([layer.null[0].expand(len(k), 1, c, -1, -1), k], 1)
    score = torch.einsum("brche,bnche->bhrnc", q, k) / q.shape[-1] ** 0.5
    whole = score[:, : h // 2].sum(-1, keepdim=True).expand(-1, -1, -1, -1, c) / tie
    e = torch.cat([whole, score[:, h // 2 :]], 1).exp() * F.pad(w, (1, 0), value=1.0)[:, None, None, :, None]
    return e / e.sum(3, keepdim=True)


def law_of_a_layer(tie):
    layer, query, support = moved(Layer(8, 4)), tokens(4, 1), tokens(5, 2)
    w = torch.rand(2, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    w[0, 1] = 0
    memory = layer.memorise(support)
    share = row_attention_weights_by_hand(layer, query, support, w, tie)
    assert share.std(3).min() > 1e-3
    v = (layer.row_norm(support) @ layer.row_kv.weight[8:].T).unflatten(-1, (4, -1))
    v = torch.cat([layer.null[1].expand(2, 1, 3, -1, -1), v], 1)
    read = torch.einsum("bhrnc,bnche->brche", share, v).flatten(3)
    torch.testing.assert_close(layer.mix_rows(query, memory, w.log()), query + read @ layer.row_out.weight.T)
    torch.testing.assert_close(layer.row_attention(query, memory, w.log()), share.mean((1, 4)))


def test_half_of_the_heads_compare_whole_rows_by_a_sum_over_the_columns():
    law_of_a_layer(3**0.5)


@pytest.mark.parametrize("tie", [1.0, 3.0])
def test_the_law_of_a_layer_finds_another_scale(tie):
    with pytest.raises(AssertionError):
        law_of_a_layer(tie)


def test_a_new_layer_mixes_nothing_and_its_like_rows_find_one_another():
    torch.manual_seed(0)
    layer, rows, log_weight = Layer(16, 1).double(), tokens(6, 1, width=16), torch.zeros(2, 6).double()
    torch.testing.assert_close(layer.mix_columns(rows), rows, rtol=0, atol=0)
    torch.testing.assert_close(layer.mix_rows(rows, layer.memorise(rows), log_weight), rows, rtol=0, atol=0)
    change = layer.ponder(rows) - rows
    torch.testing.assert_close(change, change[:1, :1, :1].expand_as(change))  # one vector for all tokens

    def own():
        return (
            layer.row_attention(rows, layer.memorise(rows), log_weight)[..., 1:].argmax(-1) == torch.arange(6)
        ).all()

    assert own()
    nn.init.orthogonal_(layer.row_q.weight)  # mutant: queries and keys that start apart
    assert not own()


def test_attentions_are_attention_weights():
    body, query, support = moved(SetTransformer(8, 3, 2)), tokens(4, 1), tokens(5, 2)
    log_weight = torch.zeros(2, 5).double()
    log_weight[0, 3] = -torch.inf
    layers = body.attentions(query, body.remember(support, log_weight), log_weight)
    assert [layer.shape for layer in layers] == [(2, 4, 6)] * 3
    for layer in layers:
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, 4, dtype=torch.float64))
        assert (layer[0, :, 4] == 0).all() and layer[1, :, 4].min() > 0


# --- columns ----------------------------------------------------------------------------------------------------------


class Named(InContext):
    """Mutant: adds to each cell a vector of its column's place."""

    def _rows(self, x, about, label, hint):
        rows = super()._rows(x, about, label, hint)
        return rows + torch.arange(rows.shape[-2])[:, None] * 0.1


def law_of_columns(kind):
    learner = moved(kind(SetTransformer(16, 2, 2), 2, 1))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    x[2, 1] = x[10, 3] = torch.nan
    order = torch.tensor([3, 0, 4, 1, 2])
    seen, turned = (
        learner.features(learner.adapt(examples(rows[:9], torch.arange(9) % 2)), rows[9:])
        for rows in (x, x[:, order])
    )  # fmt: skip
    assert seen["cells"].std(2).min() > 1e-3 and seen["label"].std(0).min() > 1e-4
    torch.testing.assert_close(turned["cells"], seen["cells"][:, :, order])
    torch.testing.assert_close(turned["label"], seen["label"])


def test_reordering_the_columns_reorders_the_tokens_and_changes_nothing_else():
    law_of_columns(InContext)
    with pytest.raises(AssertionError):
        law_of_columns(Named)


def test_columns_that_nobody_sees_are_all_alike_and_are_not_their_mean():
    learner = moved(InContext(SetTransformer(16, 2, 2), 2, 1))
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 1] = x[:, 2] = torch.nan
    state = learner.adapt(examples(x[:9], torch.arange(9) % 2))
    cells = learner.features(state, x[9:])["cells"][:, 0]  # [3, 4, v]
    torch.testing.assert_close(cells[:, 1], cells[:, 2])
    assert (cells[:, 0] - cells[:, 1]).abs().max() > 1e-2
    hidden, mean = x[9:].clone(), x[9:].clone()
    hidden[:, 0], mean[:, 0] = torch.nan, x[:9, 0].mean()
    assert (learner.predict(state, hidden) - learner.predict(state, mean)).abs().max() > 1e-3
