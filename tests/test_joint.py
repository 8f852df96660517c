"""The mapping with its explainer: reasons add up, follow the model's own game, and the joint loss says what it says."""

import itertools
import math

import pytest
import torch
from torch.func import vmap
from torch.utils import _pytree as pytree

from mapsto.episodes import Examples, examples, unstack
from mapsto.explainers.coalitions import design
from mapsto.explainers.learned.attribution import PairwiseAttribution, PairwiseGame
from mapsto.joint import SelfExplaining
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.tasks import Tables
from mapsto.training import meta_gradient


def mapping(ways=2, members=1, seed=0, **options):
    """A small mapping whose weights are far from their start, so that no law holds by flatness."""
    torch.manual_seed(seed)
    made = SelfExplaining(
        InContext(SetTransformer(16, 2, 2), ways, members), PairwiseAttribution(16, 11, 16, 4), **options
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.double().requires_grad_(False)


def table(n=9, d=4, ways=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return examples(x, torch.arange(n) % ways)


@pytest.mark.parametrize(("ways", "members"), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_values_add_up_and_balance(ways, members):
    made, support = mapping(ways, members), table(ways=ways)
    x = support.x[:5] + 0.1
    x[1, 2] = x[2, 0] = torch.nan
    x[3] = torch.nan
    state = made.adapt(support)
    values, base = made.explain(state, x)
    probability = made.predict(state, x).exp()
    assert probability.std(0).min() > 1e-4  # the predictions differ, so there is something to explain
    torch.testing.assert_close(base + values.sum(1), probability, rtol=0, atol=1e-12)
    torch.testing.assert_close(values.sum(-1), torch.zeros_like(values[..., 0]), rtol=0, atol=1e-12)
    assert (values[torch.isnan(x)] == 0).all()
    torch.testing.assert_close(probability[3], base[3])  # with every cell missing the prediction is the base value


@pytest.mark.parametrize("ways", [2, 4])
def test_one_task_is_a_batch_of_one(ways):
    made = mapping(ways)
    episodes = Tables(columns=(3, 3), rows=(10, 10), ways=(ways, ways)).batch(0, 3)
    whole, metrics = made.float().batch_loss(episodes)
    loop = torch.stack([made.loss(episode)[0] for episode in unstack(episodes)])
    assert loop.std() > 1e-3
    torch.testing.assert_close(whole, loop.mean())
    torch.testing.assert_close(metrics["loss"], whole)


def test_vmap_is_a_loop():
    made, supports = mapping(3), [table(ways=3, seed=seed) for seed in range(3)]
    x = table(seed=9).x

    def answer(support):
        state = made.adapt(support)
        return made.explain(state, x)[0], made.predict(state, x)

    loop = [answer(support) for support in supports]
    batch = vmap(answer)(Examples(*(torch.stack(parts) for parts in zip(*supports, strict=True))))
    for i, (values, scores) in enumerate(loop):
        torch.testing.assert_close(batch[0][i], values)
        torch.testing.assert_close(batch[1][i], scores)


def test_rows_do_not_see_each_other():
    made, support = mapping(), table()
    state, x = made.adapt(support), table(n=6, seed=5).x
    values, scores = made.explain(state, x)[0], made.predict(state, x)
    torch.testing.assert_close(made.explain(state, x[2:3])[0], values[2:3])
    torch.testing.assert_close(made.predict(state, x[2:3]), scores[2:3])


def test_deleted_means_weight_zero():
    made, support, x = mapping(3, 2), table(ways=3), table(seed=5).x
    kept = [i for i in range(9) if i != 4]
    zero = support._replace(w=torch.where(torch.arange(9) == 4, 0.0, support.w))
    fewer = Examples(support.x[kept], support.y[kept], support.w[kept])
    with_all = made.predict(made.adapt(support), x)
    deleted = made.predict(made.adapt(fewer), x)
    assert (with_all - deleted).abs().max() > 1e-3
    torch.testing.assert_close(made.predict(made.adapt(zero), x), deleted)


def test_support_order_does_not_matter_and_classes_are_alike():
    made, support, x = mapping(3), table(ways=3), table(seed=5).x
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = Examples(*(part[order] for part in support))
    scores = made.predict(made.adapt(support), x)
    torch.testing.assert_close(made.predict(made.adapt(shuffled), x), scores)
    renamed = support._replace(y=(support.y + 1) % 3)
    torch.testing.assert_close(made.predict(made.adapt(renamed), x).roll(-1, 1), scores)


def test_two_members_do_not_care_which_class_is_first():
    made, support, x = mapping(2, 2), table(), table(seed=5).x
    scores = made.predict(made.adapt(support), x)
    swapped = made.predict(made.adapt(support._replace(y=1 - support.y)), x)
    torch.testing.assert_close(swapped.flip(1), scores)


def test_unknown_class_and_empty_support():
    made, support, x = mapping(4), table(ways=3), table(seed=5).x
    probability = made.predict(made.adapt(support), x).exp()
    assert (probability[:, 3] == 0).all() and torch.isfinite(probability).all()
    nothing = support._replace(w=torch.zeros_like(support.w))
    empty = made.predict(made.adapt(nothing), x).exp()
    assert torch.isfinite(empty).all()
    torch.testing.assert_close(empty.sum(1), torch.ones(len(x), dtype=torch.float64))


def test_affine_changes_of_a_column_change_nothing():
    made, support, x = mapping(), table(), table(seed=5).x
    scale, shift = torch.tensor([2.0, -1.0, 10.0, 0.1]).abs().double(), torch.tensor([1.0, 0.0, -5.0, 3.0]).double()
    moved = support._replace(x=support.x * scale + shift)
    torch.testing.assert_close(made.predict(made.adapt(moved), x * scale + shift), made.predict(made.adapt(support), x))


def brute_force_values(value, players):
    """Shapley 1953, the average over all orders of a player's marginal contribution."""
    phi = torch.zeros(players, dtype=torch.float64)
    for order in itertools.permutations(range(players)):
        seen = torch.zeros(players, dtype=torch.float64)
        for player in order:
            before = value(seen)
            seen[player] = 1
            phi[player] += (value(seen) - before) / math.factorial(players)
    return phi


def test_pairwise_game_by_hand():
    generator = torch.Generator().manual_seed(0)
    single = torch.randn(4, generator=generator, dtype=torch.float64)
    factors = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    game = PairwiseGame(single, factors)
    q = factors[:, :1] @ factors[:, :1].T - factors[:, 1:] @ factors[:, 1:].T
    for mask in itertools.product([0.0, 1.0], repeat=4):
        inside = [j for j in range(4) if mask[j]]
        by_hand = sum(single[j] for j in inside) + sum(q[i, j] for i, j in itertools.combinations(inside, 2))
        torch.testing.assert_close(game(torch.tensor([mask]).double())[0], torch.as_tensor(by_hand).double())


def test_values_are_the_shapley_values_of_the_explainers_game():
    made, support = mapping(), table()
    state, x = made.adapt(support), table(seed=5).x[:1]
    tokens = made.learner.look(state, x[None])

    def value(mask):
        return made.play(state, made.game(state, tokens, torch.isfinite(x)[None]), mask[None])[0, 0, 0, 0, 1]

    expected = brute_force_values(value, 4)
    assert expected.abs().min() > 1e-3
    torch.testing.assert_close(made.explain(state, x)[0][0, :, 1], expected)
    whole = made.predict(state, x).exp()[0, 1]
    torch.testing.assert_close(value(torch.ones(4, dtype=torch.float64)), whole)


def test_many_columns_still_add_up():
    made, support = mapping(), table(d=23, n=12)
    state = made.adapt(support)
    x = table(d=23, seed=5).x
    x[0, :20] = torch.nan
    values, base = made.explain(state, x)
    torch.testing.assert_close(base + values.sum(1), made.predict(state, x).exp(), rtol=0, atol=1e-10)
    assert (values[0, :20] == 0).all() and values[0, 20:].abs().min() > 0


def test_loss_is_its_formula():
    """The three terms again, one row at a time, through `predict` and the game alone."""
    made = mapping(3, weight=7.0).float()
    episode = unstack(Tables(columns=(4, 4), rows=(9, 9), ways=(3, 3), queries=5).batch(3, 1))[0]
    seen = torch.isfinite(episode.query.x)
    size = 1 + (episode.noise[:, -1] * 3).long()
    part = (episode.noise[:, :4].argsort(1).argsort(1) < size[:, None]) & seen
    state = made.read(pytree.tree_map(lambda leaf: None if leaf is None else leaf[None], episode))
    loss = torch.tensor(0.0)
    for i, (x, y, w) in enumerate(zip(*episode.query, strict=True)):
        tokens = made.learner.look(state, x[None, None])
        for weight, mask in ((1.0, seen[i]), (0.5, part[i]), (0.5, seen[i] & ~part[i])):
            log_v = made.predict(state, torch.where(mask, x, torch.nan)[None])[0]
            loss = loss - (weight * w * log_v[y] if w > 0 else 0.0)
            if weight == 0.5:
                g = made.play(state, made.game(state, tokens, seen[i][None, None]), mask[None].float())[0, 0, 0, 0]
                loss = loss + 7.0 * (g - log_v.exp()).square().sum() / (2 * 5)
    torch.testing.assert_close(made.loss(episode)[0], loss)


def test_reasons_do_not_move_the_model_unless_asked():
    """With candour 0 the model's own answers get no gradient from the third term; with candour 1 they do."""
    episode = Tables(columns=(4, 4), rows=(9, 9)).batch(3, 2)

    def pull(candour):
        made = mapping(weight=1e4, candour=candour).float().requires_grad_(True)
        made.batch_loss(episode)[0].backward()
        return made.learner.readout.weight.grad.clone()

    assert (pull(0.0) - pull(1.0)).abs().max() > 1e-3


def test_with_candour_1_the_gradient_is_that_of_the_whole_loss():
    episode = Tables(columns=(4, 4), rows=(9, 9)).batch(3, 2).to(torch.float64)
    made = mapping(weight=1e4, candour=1.0)
    weight = made.learner.readout.weight.requires_grad_(True)
    slope = torch.autograd.grad(made.batch_loss(episode)[0], weight)[0]
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    losses = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            weight.add_(step * direction)
            losses.append(made.batch_loss(episode)[0])
    torch.testing.assert_close((slope * direction).sum(), (losses[0] - losses[1]) / 2e-5, rtol=1e-5, atol=1e-5)


def test_a_head_that_is_not_corrected_breaks_the_sum():
    """Mutant: without the gap spread over the columns, the values do not add up to the prediction."""
    made, support = mapping(), table()
    state, x = made.adapt(support), table(seed=5).x

    class Uncorrected(PairwiseAttribution):
        def forward(self, tokens, visible, full, outputs):
            return super().forward(tokens, visible, full + 0.1 * torch.arange(full.shape[-1]), outputs)

    mutant = Uncorrected(16, 11, 16, 4).double()
    mutant.load_state_dict(made.explainer.state_dict())
    made.explainer = mutant
    values, base = made.explain(state, x)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(base + values.sum(1), made.predict(state, x).exp(), rtol=0, atol=1e-6)


def test_design_sizes():
    assert design(10).masks.shape == (1024, 10)
    assert design(50).masks.shape[1] == 50


def test_classes_are_read_off_the_labels_however_tasks_come() -> None:
    batch = Tables(rows=(30, 30), columns=(3, 3), ways=(4, 4), queries=5).batch(0, 3)
    torch.manual_seed(0)
    model = mapping().float()
    params = {name: p.detach() for name, p in model.named_parameters()}
    losses = [
        float(meta_gradient(model, **how)(params, batch)[1]["loss"])
        for how in ({}, {"vectorise": False}, {"chunk_size": 1})
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0] == pytest.approx(losses[2], rel=1e-4)


def test_a_class_that_nobody_taught_is_a_total_surprise_unless_it_weighs_nothing() -> None:
    batch = Tables(rows=(30, 30), columns=(3, 3), ways=(3, 3), queries=5).batch(0, 1)
    known = batch._replace(query=batch.query._replace(w=torch.full((1, 5), 0.2)))
    strange = known._replace(query=known.query._replace(y=known.query.y.clone().index_fill_(1, torch.tensor([0]), 7)))
    torch.manual_seed(0)
    assert mapping().float().batch_loss(known)[0].isfinite()
    assert mapping().float().batch_loss(strange)[0].isinf()
    unweighed = strange._replace(query=strange.query._replace(w=torch.tensor([[0.0, 0.2, 0.2, 0.2, 0.2]])))
    assert mapping().float().batch_loss(unweighed)[0].isfinite()
