"""Attention rollout by hand, and the attention that a set transformer pays to its teaching examples."""

import pytest
import torch
from torch import Tensor

from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import attention_rollout
from mapsto.learners import InContext
from mapsto.models import SetTransformer

F64 = torch.float64
FIRST = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], dtype=F64)
SECOND = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], dtype=F64)
# (SECOND + 1)/2 @ (FIRST + 1)/2, entry by entry on paper
BY_HAND = torch.tensor([[0.625, 0.375, 0.0], [0.25, 0.75, 0.0], [0.25, 0.375, 0.375]], dtype=F64)


def test_two_layers_by_hand() -> None:
    torch.testing.assert_close(attention_rollout([FIRST, SECOND]), BY_HAND)
    torch.testing.assert_close(attention_rollout(torch.stack([FIRST, SECOND])), BY_HAND)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda a, b: attention_rollout([b, a]),  # the last layer first
        lambda a, b: b @ a,  # no residual connection
        lambda a, b: (b + torch.eye(3)) @ (a + torch.eye(3)),  # rows that sum to 4
    ],
    ids=["reversed", "no residual", "not normalised"],
)
def test_a_wrong_rollout_is_found(mutant: object) -> None:
    with pytest.raises(AssertionError):
        torch.testing.assert_close(mutant(FIRST, SECOND), BY_HAND)


@pytest.mark.parametrize("attentions", [[], [torch.eye(2), torch.eye(3)], [torch.ones(2, 3)], [torch.ones(1, 2, 2)]])
def test_what_is_no_attention_is_refused(attentions: list[Tensor], unchecked: None) -> None:
    with pytest.raises(MapstoError, match="attentions: got matrices of shapes"):
        attention_rollout(attentions)


@pytest.mark.parametrize("layer", [2 * FIRST, FIRST - 0.1, FIRST * torch.nan, FIRST.T])
def test_rows_that_are_no_shares_are_refused(layer: Tensor) -> None:
    with pytest.raises(MapstoError, match="attentions: got rows that are no shares"):
        attention_rollout([SECOND, layer])


def learner(ways: int = 2, members: int = 2, depth: int = 2) -> InContext:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = InContext(SetTransformer(16, depth, heads=2), ways, members)
        for layer in made.body.layers:  # sharper than at the start, so that rows differ
            layer.row_q.weight.data *= 4
    return made.requires_grad_(False)


def table(n: int = 5) -> Examples:
    generator = torch.Generator().manual_seed(1)
    return examples(torch.randn(n, 3, generator=generator), torch.arange(n) % 2)


X = torch.tensor([0.3, -1.0, 0.5])


@pytest.mark.parametrize(("ways", "members"), [(2, 1), (2, 2), (3, 1)])
def test_attention_is_shared_out_among_null_row_and_examples(ways: int, members: int) -> None:
    layers = learner(ways, members).attentions(table(), X)
    assert layers.shape == (2, 7, 7)
    torch.testing.assert_close(layers.sum(-1), torch.ones(2, 7))
    assert torch.equal(layers[:, 0], torch.eye(7)[:1].expand(2, 7))  # the null row reads nothing
    assert torch.equal(layers[..., -1], torch.zeros(2, 7))  # nobody reads the query row
    assert layers[:, -1, 1:-1].std() > 0.01
    read = attention_rollout(layers)
    torch.testing.assert_close(read.sum(-1), torch.ones(7))
    assert read[-1, 1:-1].min() > 0 and read[-1, 1:-1].std() > 1e-3


def test_the_attention_of_one_layer_is_that_of_its_queries_and_keys() -> None:
    model, support = learner(members=1, depth=1), table()
    state, layer = model.adapt(support), model.body.layers[0]
    tokens = model._query_tokens(state, X[None, None])  # [1, 1, d+1, v]
    q = layer.row_q(layer.row_norm(layer.mix_columns(tokens))).reshape(4, 2, 8)  # [c, h, e]
    memory = state.memories[0]
    score = torch.einsum("ce,cne->cn", q[:, 1], memory.cell_keys[:, 0])
    cell = (score / 8**0.5).softmax(-1).mean(0)  # equal weights: log-weight 0, as the null row's
    whole = (memory.row_keys[0, 0] @ q[:, 0].flatten() / (4 * 8) ** 0.5).softmax(-1)
    assert (cell - whole).abs().max() > 1e-3
    expected = (cell + whole) / 2
    torch.testing.assert_close(model.attentions(support, X)[0, -1, :-1], expected)


def test_an_example_of_weight_0_is_not_read_and_does_not_disturb() -> None:
    model, support = learner(), table()
    w = support.w.clone()
    w[2] = 0
    kept = [0, 1, 3, 4]
    layers = model.attentions(support._replace(w=w), X)
    read = attention_rollout(layers)
    assert torch.equal(layers[:, -1, 3], torch.zeros(2))
    assert read[-1, 3] == 0 and read[[0, 1, 2, 4, 5, 6]][:, 3].abs().max() == 0
    without = attention_rollout(model.attentions(Examples(support.x[kept], support.y[kept], w[kept]), X))
    torch.testing.assert_close(read[-1][[0, 1, 2, 4, 5, 6]], without[-1])


def test_two_examples_that_are_the_same_are_read_alike() -> None:
    support = table()
    twice = Examples(*(leaf[[0, 1, 2, 3, 4, 1]] for leaf in support))
    read = attention_rollout(learner().attentions(twice, X))[-1, 1:-1]
    torch.testing.assert_close(read[1], read[5])
    assert (read[0] - read[1]).abs() > 1e-4


def test_watching_does_not_change_the_answer_and_leaves_no_hook() -> None:
    model, support = learner(), table()
    before = model.predict(model.adapt(support), X[None])
    model.attentions(support, X)
    assert torch.equal(model.predict(model.adapt(support), X[None]), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_body_without_attention_is_refused() -> None:
    class Deaf(torch.nn.Module):
        width = 16

        def remember(self, tokens: Tensor, log_weight: Tensor) -> list:
            return []

        def forward(self, tokens: Tensor, memories: list, log_weight: Tensor) -> Tensor:
            return tokens

    with pytest.raises(MapstoError, match=r"^body: got Deaf"):
        InContext(Deaf()).attentions(table(), X)
