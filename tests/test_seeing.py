"""Seeing inside, against closed forms, brute force, SciPy and scikit-learn; and known-wrong versions are found out."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from sklearn.feature_selection import f_classif
from sklearn.linear_model import RidgeClassifier
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML, PrototypicalNetwork
from mapsto.seeing import cka, embedding, iterates, looks_like, maximise, probes, rsa, unit, units, variance_explained
from mapsto.seeing.embedding import Embedding, purity
from mapsto.seeing.layers import features_over
from mapsto.seeing.maximisation import blurred, total_variation
from mapsto.seeing.probes import dealt
from mapsto.seeing.similarity import cka_over, rsa_over
from mapsto.seeing.units import Units, health
from mapsto.seeing.variation import Explained

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


# --- activation maximisation

W = draw(6, seed=1)


def closed_form(climb: Callable) -> None:
    """A linear unit under an L2 penalty likes w / 2·l2 best."""
    found = climb(lambda x: x @ W, torch.zeros(6, dtype=F64), steps=400, lr=0.1, l2=0.4)
    torch.testing.assert_close(found.x, W / 0.8, rtol=0, atol=2e-3)
    torch.testing.assert_close(found.value, W @ W / 0.8, rtol=0, atol=2e-2)
    assert found.objective[-1] > found.objective[0]


def test_a_linear_unit_likes_its_weights() -> None:
    assert W.abs().min() > 0.05
    closed_form(maximise)


def test_the_rate_falls_to_nothing_in_equal_parts() -> None:
    """Adam goes along a constant slope by its sign, so that the climb is the sum of the rates 1, 3/4, 1/2 and 1/4."""
    found = maximise(lambda x: 1e4 * (x @ W), torch.zeros(6, dtype=F64), steps=4, lr=0.1)  # far above Adam's ε
    torch.testing.assert_close(found.x, 0.25 * W.sign(), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        found.objective, found.value * torch.tensor([0.0, 0.4, 0.7, 0.9], dtype=F64), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    "mutant",
    [
        lambda view, start, **options: maximise(lambda x: -view(x), start, **options),
        lambda view, start, **options: maximise(view, start, **options | {"l2": 0.2}),
        lambda view, start, **options: maximise(view, start, **options | {"steps": 3}),
    ],
    ids=["descends", "half the penalty", "stops early"],
)
def test_another_climber_is_found_out(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        closed_form(mutant)


def network() -> MAML:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 3)).to(F64)
    return MAML(body, lr=0.3, steps=2)


def rows(n: int = 30) -> tuple[Tensor, Tensor]:
    return draw(n, 1, 4, 4, seed=3), torch.arange(n) % 3


def test_what_a_unit_likes_beats_a_thousand_random_inputs_of_its_size() -> None:
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x[:9], y[:9]))
    liked = unit(learner, state, "3", 1)
    found = maximise(liked, 0.1 * draw(1, 4, 4, seed=4), l2=0.02, steps=150)
    others = draw(1000, 1, 4, 4, seed=5)
    others = others / others.flatten(1).norm(dim=1)[:, None, None, None] * found.x.norm()
    values = learner.predict(state, others)[:, 1]
    assert values.std() > 0.1
    assert found.value > values.max() and found.value > found.start
    torch.testing.assert_close(found.value, learner.predict(state, found.x[None])[0, 1].detach())


def test_a_unit_is_an_entry_of_its_layer_and_a_channel_the_mean_of_its_map() -> None:
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x[:9], y[:9]))
    torch.testing.assert_close(unit(learner, state, "2", 4)(x[5]), learner.features(state, x)["2"][5, 4])
    maps = MAML(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3)).to(F64))
    state = maps.adapt(examples(x[:9], y[:9]))
    f = maps.features(state, x)["0"]
    torch.testing.assert_close(unit(maps, state, "0", 2)(x[5]), f[5, 2].mean())
    torch.testing.assert_close(unit(maps, state, "0", (2, 0, 1))(x[5]), f[5, 2, 0, 1])


def test_what_is_liked_is_the_same_alone_and_among_others() -> None:
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x[:9], y[:9]))
    climb = lambda start: maximise(unit(learner, state, "3", 0), start, steps=5, jitter=1, variation=0.1, blur=0.5).x  # noqa: E731
    together = torch.func.vmap(climb)(x[:3])
    torch.testing.assert_close(together, torch.stack([climb(start) for start in x[:3]]))
    assert (together - x[:3]).abs().max() > 0.1


def test_a_seed_draws_the_jitter_and_nothing_else_is_random() -> None:
    view = lambda x: (x.flatten() @ draw(16)).tanh()  # noqa: E731
    found = [maximise(view, draw(4, 4), steps=20, jitter=2, seed=s).x for s in (0, 0, 1)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert (found[0] - found[2]).abs().max() > 1e-3


def test_total_variation_and_blur_make_images_smooth() -> None:
    view = lambda x: x.flatten() @ draw(64)  # noqa: E731
    plain, varied, soft = (
        maximise(view, torch.zeros(8, 8, dtype=F64), l2=0.1, steps=80, **of)
        for of in ({}, {"variation": 0.6}, {"blur": 1.0})
    )
    rough = [float(total_variation(found.x) / found.x.norm()) for found in (plain, varied, soft)]
    assert rough[1] < 0.7 * rough[0] and rough[2] < 0.7 * rough[0]


def test_the_blur_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    x = draw(2, 7, 9)
    theirs = [gaussian_filter(image.numpy(), 1.3, mode="nearest", radius=4) for image in x]
    torch.testing.assert_close(blurred(x, 1.3), torch.from_numpy(np.stack(theirs)))
    assert total_variation(x) == pytest.approx(np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2": -1.0}, "l2: got -1.0"),
        ({"jitter": 1}, r"jitter: got 1 for an input of shape \(6,\)"),
        ({"steps": 0}, "steps: got 0"),
    ],
)
def test_a_climb_that_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        maximise(lambda x: x @ W, torch.zeros(6, dtype=F64), **options)


@pytest.mark.parametrize(
    ("view", "start", "options", "message"),
    [
        (lambda x: x @ W * torch.nan, W, {}, "view: got nan.*another start"),
        (
            lambda x: (x - x).abs().sum().sqrt(),
            W,
            {},
            "view: got nan.*lower lr",
        ),
        (lambda x: x.square().sum().exp(), W, {"l2": 0.0, "lr": 99.0}, "view: got (inf|nan).*lower lr"),
        (lambda x: x.nan_to_num() @ W, W * torch.nan, {}, "start: got nan"),
    ],
)
def test_a_climb_in_what_is_not_finite_is_refused(view: Callable, start: Tensor, options: dict, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        maximise(view, start, steps=20, **options)


def test_a_view_of_several_outputs_and_a_unit_that_is_not_there_are_refused() -> None:
    with pytest.raises(MapstoError, match=r"^view: got shape \(2,\)"):
        maximise(lambda x: x[:2], torch.zeros(6))
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x, y))
    with pytest.raises(MapstoError, match="layer: got 'head'"):
        unit(learner, state, "head", 0)(x[0])
    with pytest.raises(MapstoError, match=r"index: got \(3,\)"):
        unit(learner, state, "3", 3)(x[0])


# --- similarity of representations

X, Y = draw(12, 5, seed=6), draw(12, 7, seed=7) + 2
Y[:, :5] += X


def brute_cka(x: Tensor, y: Tensor) -> float:
    """Compute tr(K·H·L·H) by the letter of its definition."""
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    k, other = (f.numpy() @ f.numpy().T for f in (x, y))
    hsic = lambda a, b: np.trace(a @ h @ b @ h)  # noqa: E731
    return hsic(k, other) / np.sqrt(hsic(k, k) * hsic(other, other))


def brute_debiased(x: Tensor, y: Tensor) -> float:
    """Compute the unbiased estimate of HSIC term by term (Song et al. 2012, eq. 5)."""

    def hsic(a: Tensor, b: Tensor) -> float:
        n = len(a)
        k, m = (f.numpy() @ f.numpy().T for f in (a, b))
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        one = np.ones(n)
        middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return (np.trace(k @ m) + middle - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))

    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def invariances(similarity: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Unchanged by rotations, shifts and one scale for all features; changed by another invertible linear map."""
    q = torch.linalg.qr(draw(5, 5, seed=8)).Q
    value = similarity(X, Y)
    torch.testing.assert_close(similarity(3 * X @ q + 1, Y), value)
    assert abs(similarity(X @ torch.diag(torch.tensor([9.0, 1, 1, 1, 1], dtype=F64)), Y) - value) > 0.01
    torch.testing.assert_close(similarity(X, 2 * X @ q), torch.ones((), dtype=F64))
    assert 0.1 < value < 0.95


def correlated(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared canonical correlation, which no invertible linear map changes."""
    x, y = (torch.linalg.qr(f - f.mean(0)).Q for f in (x, y))
    return (x.T @ y).square().sum() / min(x.shape[1], y.shape[1])


def uncentred(x: Tensor, y: Tensor) -> Tensor:
    return (y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm())


@pytest.mark.parametrize(
    "similarity", [cka, lambda x, y: cka(x, y, debiased=True), rsa], ids=["cka", "debiased", "rsa"]
)
def test_similarity_is_blind_to_rotation_and_scale_alone(similarity: Callable) -> None:
    invariances(similarity)


@pytest.mark.parametrize("mutant", [correlated, uncentred])
def test_similarities_blind_to_more_or_less_are_found_out(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        invariances(mutant)


def test_cka_is_the_brute_force_of_its_definition() -> None:
    assert float(cka(X, Y)) == pytest.approx(brute_cka(X, Y))
    assert float(cka(X, Y, debiased=True)) == pytest.approx(brute_debiased(X, Y))
    assert abs(brute_cka(X, Y) - brute_debiased(X, Y)) > 0.05


def test_few_rows_of_many_unrelated_features_are_alike_to_the_biased_estimate_only() -> None:
    pairs = [(draw(10, 200, seed=2 * s), draw(10, 200, seed=2 * s + 1)) for s in range(100)]
    assert np.mean([float(cka(x, y)) for x, y in pairs]) > 0.8
    assert abs(np.mean([float(cka(x, y, debiased=True)) for x, y in pairs])) < 0.1


def test_rsa_is_scipys_rank_correlation_of_distances() -> None:
    tied = X.round()  # distances with ties
    for x in (X, tied):
        theirs = scipy.stats.spearmanr(*(scipy.spatial.distance.pdist(f.numpy()) for f in (x, Y))).statistic
        assert float(rsa(x, Y)) == pytest.approx(theirs)
        assert 0.1 < theirs < 0.9


def test_the_matrix_holds_every_pair_of_layers_and_steps() -> None:
    features = {"a": torch.stack([X, X.flip(0)]), "b": torch.stack([Y, 2 * Y])}
    for found, one in ((cka_over(features), cka), (rsa_over(features), rsa)):
        parts = [X, X.flip(0), Y, 2 * Y]
        expected = torch.stack([torch.stack([one(p, q) for q in parts]) for p in parts])
        torch.testing.assert_close(found.matrix, expected)
        assert found.layers == ("a", "b") and found.steps == 2


def test_what_is_the_same_for_all_rows_is_like_nothing() -> None:
    flat = torch.full((12, 3), 0.1, dtype=F64)
    assert cka(flat, X).isnan() and rsa(flat, X).isnan()
    matrix = cka_over({"flat": flat[None], "x": X[None]}).matrix
    assert matrix[0].isnan().all() and matrix[1, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:5], "got 12 and 5 rows"),
        (X[:3], Y[:3], "got 3 row"),
        (X / 0, Y, "^(x|y|before|after): got NaN"),
        (X[..., None], Y, r"^x: got shape \(12, 5, 1\)"),
    ],
)
def test_representations_that_do_not_compare_are_refused(x: Tensor, y: Tensor, message: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=message):
        cka(x, y, debiased=True)


@pytest.mark.parametrize(
    ("least", "measure"),
    [
        (2, cka),
        (4, lambda x, y: cka(x, y, debiased=True)),
        (3, rsa),
        (2, lambda x, y: cka_over({"x": x[None], "y": y[None]}).matrix),
        (4, lambda x, y: cka_over({"x": x[None], "y": y[None]}, debiased=True).matrix),
        (3, lambda x, y: rsa_over({"x": x[None], "y": y[None]}).matrix),
    ],
    ids=["cka", "debiased", "rsa", "cka_over", "debiased_over", "rsa_over"],
)
def test_so_few_rows_are_compared_and_fewer_are_refused(least: int, measure: Callable) -> None:
    assert measure(X[:least], Y[:least]).isfinite().all()
    with pytest.raises(MapstoError, match=f"^x: got {least - 1} row"):
        measure(X[: least - 1], Y[: least - 1])


# --- layers


def test_features_are_those_of_each_state() -> None:
    learner, (x, y) = network(), rows()
    states = iterates(learner, examples(x[:9], y[:9])).states
    found = features_over(learner, states, x)
    assert list(found) == ["0", "1", "2", "3"] and found["2"].shape == (3, 30, 12)
    torch.testing.assert_close(found["3"][2], learner.predict(states[2], x).detach())
    with pytest.raises(MapstoError, match="states: got none"):
        features_over(learner, [], x)


def test_a_learner_that_names_no_feature_is_refused() -> None:
    class Silent(PrototypicalNetwork):
        def features(self, state: object, x: Tensor) -> dict[str, Tensor]:
            return {}

    learner = Silent(nn.Flatten(), 3).to(F64)
    x, y = rows()
    with pytest.raises(MapstoError, match="learner: got Silent without named intermediate features"):
        features_over(learner, [learner.adapt(examples(x, y))], x)


# --- embedding


def clouds(apart: float) -> Tensor:
    """Return three classes of 12 rows in five features, so far from each other."""
    return draw(36, 5, seed=9) + apart * torch.eye(5, dtype=F64)[torch.arange(36) % 3]


LABELS = torch.arange(36) % 3


def test_adaptation_that_parts_the_classes_is_seen() -> None:
    found = embedding(clouds(0), clouds(9), LABELS, seed=1)
    assert found.purity[0] < 0.6 and found.purity[1] > 0.95
    assert found.chance == pytest.approx(11 / 35)
    assert found.before.shape == found.after.shape == (36, 2) and found.before.std() > 0.1


BEFORE, AFTER = clouds(0), clouds(3)


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    both = torch.cat([BEFORE, AFTER]).numpy()
    return TSNE(perplexity=12.0, init="pca", learning_rate="auto", random_state=0).fit_transform(both)


@pytest.fixture(scope="module")
def embedded() -> Embedding:
    return embedding(BEFORE, AFTER, LABELS)


def law_of_embedding(found: Embedding, theirs: np.ndarray) -> None:
    """One plane for both; trust of it for each; purity of the features and not of the plane; chance by counting."""
    np.testing.assert_allclose(torch.cat([found.before, found.after]).numpy(), theirs)
    parts = ((BEFORE.numpy(), theirs[:36]), (AFTER.numpy(), theirs[36:]))
    trust = tuple(trustworthiness(*part, n_neighbors=5) for part in parts)
    assert found.trustworthiness == pytest.approx(trust) and 0.5 < min(trust) < 1
    near = [NearestNeighbors(n_neighbors=5).fit(part).kneighbors(return_distance=False) for part, _ in parts]
    pure = tuple((LABELS.numpy()[one] == LABELS.numpy()[:, None]).mean() for one in near)
    assert found.purity == pytest.approx(pure) and pure[0] < 0.6 < 0.7 < pure[1]
    pairs = [LABELS[i] == LABELS[j] for i in range(36) for j in range(36) if i != j]
    assert found.chance == pytest.approx(float(torch.stack(pairs).double().mean()))


def test_the_plane_is_scikit_learns_fitted_to_both(embedded: Embedding, plane: np.ndarray) -> None:
    law_of_embedding(embedded, plane)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda e: e._replace(before=e.after, after=e.before),
        lambda e: e._replace(after=e.after - e.after.mean(0)),  # each on a plane of its own
        lambda e: e._replace(purity=(purity(e.before, LABELS), purity(e.after, LABELS))),
        lambda e: e._replace(purity=(purity(BEFORE, LABELS, 7), purity(AFTER, LABELS, 7))),
        lambda e: e._replace(chance=1 / 3),  # the row itself among its neighbours
        lambda e: e._replace(trustworthiness=e.trustworthiness[::-1]),
    ],
    ids=["swapped", "two planes", "purity of the plane", "more neighbours", "itself counts", "trust swapped"],
)
def test_other_embeddings_are_found_out(mutant: Callable, embedded: Embedding, plane: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        law_of_embedding(mutant(embedded), plane)


def test_purity_needs_fewer_neighbours_than_rows() -> None:
    with pytest.raises(MapstoError, match=r"^neighbours: got 36"):
        purity(clouds(0), LABELS, 36)


def test_purity_is_that_of_scikit_learns_neighbours() -> None:
    x = clouds(1.5)
    nearest = NearestNeighbors(n_neighbors=5).fit(x.numpy()).kneighbors(return_distance=False)
    expected = (LABELS.numpy()[nearest] == LABELS.numpy()[:, None]).mean()
    assert purity(x, LABELS) == pytest.approx(expected) and 0.35 < expected < 0.95


@pytest.mark.parametrize(
    ("before", "labels", "neighbours", "message"),
    [
        (clouds(0)[:, :4], LABELS, 5, "^before, after, y: got .* of the same rows and layer twice"),
        (clouds(0), LABELS[:9], 5, "a label for each row"),
        (clouds(0), LABELS, 18, "^neighbours: got 18"),
        (clouds(0) / 0, LABELS, 5, "^(x|y|before|after): got NaN"),
        (clouds(0)[:, :1], LABELS, 5, r"got torch.float64 of shapes \(36, 1\)"),
        (clouds(0)[:, :, None], LABELS, 5, r"got torch.float64 of shapes \(36, 5, 1\).*flatten"),
        (clouds(0).long(), LABELS, 5, "got torch.int64 of shapes"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_rows_that_cannot_be_embedded_are_refused(
    before: Tensor, labels: Tensor, neighbours: int, message: str
) -> None:
    after = clouds(1) if "twice" in message else torch.ones_like(before)
    with pytest.raises(MapstoError, match=message):
        embedding(before, after, labels, neighbours)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e15])
def test_rows_that_are_all_alike_are_refused_before_they_kill_the_process(value: float) -> None:
    alike = torch.full((36, 5), value, dtype=F64)
    with pytest.raises(MapstoError, match="got the same features on all rows, expected some that differ"):
        embedding(alike, alike, LABELS)
    with pytest.raises(MapstoError, match="got the same features on all rows"):
        embedding(alike, alike * (1 + 1e-14), LABELS)  # rounding is no variation


@pytest.mark.parametrize("perplexity", [500.0, 72.0, 0.0, -1.0, float("nan")])
def test_a_perplexity_that_the_points_do_not_have_is_refused(perplexity: float) -> None:
    with pytest.raises(MapstoError, match=rf"perplexity: got {perplexity}"):
        embedding(BEFORE, AFTER, LABELS, perplexity=perplexity)


def test_a_plane_knows_neither_unit_nor_origin(embedded: Embedding) -> None:
    """Features far too small or large for single precision, or far from 0, are embedded as any others."""
    for scale in (2.0**-200, 2.0**400):
        law_of_embedding(embedding(BEFORE * scale, AFTER * scale, LABELS), torch.cat(embedded[:2]).numpy())
    far = torch.cat([torch.full((36, 1), 1e12, dtype=F64), BEFORE[:, :1] * 1e2], 1)
    found = embedding(far, far, LABELS)
    assert found.before.isfinite().all() and found.before.std() > 0.1


def test_rows_that_are_alike_in_part_are_embedded() -> None:
    few, alike = clouds(2)[:3].repeat(12, 1), torch.ones(36, 5, dtype=F64)
    for before, after in ((few, few), (few, alike), (alike, few), (alike, -alike)):
        found = embedding(before, after, LABELS)
        assert found.before.isfinite().all() and torch.cat(found[:2]).std() > 0.1


# --- units


def test_dead_and_saturated_units_are_told_apart() -> None:
    z = draw(40, 4, seed=10)
    z[:, 0], z[:, 1] = -1, torch.where(torch.arange(40) == 3, 1.0, -1.0)  # never active; active on one row of 40
    found = health(nn.ReLU(), z)
    assert found.dead.tolist() == [True, False, False, False]
    assert found.saturated.tolist() == [False, True, False, False]
    torch.testing.assert_close(found.shut[2:], (z[:, 2:] < 0).to(F64).mean(0))
    assert 0.2 < found.shut[2] < 0.8


def test_a_tanh_is_shut_where_it_stands_within_a_fortieth_of_its_ends() -> None:
    z = 3 * draw(60, 3, seed=11)
    z[:, 0] = 4 * z[:, 0].sign() + z[:, 0]  # both ends
    found = health(nn.Tanh(), z)
    torch.testing.assert_close(found.shut, (z.tanh().square() >= 0.95).to(F64).mean(0))
    assert found.saturated.tolist() == [True, False, False] and not found.dead.any()


def law_of_units(judge: Callable) -> None:
    """Slopes, not outputs, decide; a channel is a unit, its places are rows; 95 % of the rows are enough."""
    z = draw(5, 2, 3, 3, seed=12)
    z[:, 1] = -1
    found = judge(nn.ReLU(), z)
    assert found.dead.tolist() == [False, True]
    assert found.shut[0] == pytest.approx(float((z[:, 0] < 0).double().mean()))
    z = 3 * draw(60, 3, seed=11)
    z[:, 0], z[:, 1] = 4 * z[:, 0].sign() + z[:, 0], 0.01 * z[:, 1]  # at both ends; near 0, where tanh is steepest
    found = judge(nn.Tanh(), z)
    torch.testing.assert_close(found.shut, (z.tanh().square() >= 0.95).to(F64).mean(0))
    assert found.saturated.tolist() == [True, False, False] and not found.dead.any()
    rows = torch.where(torch.arange(40) < 3, 1.0, -1.0)  # passes on 7.5 % of the rows
    found = judge(nn.ReLU(), torch.stack([rows, rows.roll(1).clamp(max=0) - 1 + 2.0 * (torch.arange(40) == 3)], 1))
    assert found.saturated.tolist() == [False, True] and not found.dead.any()


def test_a_channel_is_a_unit_and_its_places_are_rows() -> None:
    law_of_units(health)
    z = draw(6, 5, 3, seed=12)  # of a sequence, each feature is a unit
    z[..., 1] = -1.0
    assert health(nn.ReLU(), z).dead.tolist() == [False, True, False]


def by_output(activation: nn.Module, z: Tensor) -> Units:
    """Call shut what puts out (nearly) nothing."""
    out = activation(z).movedim(1 if z.dim() > 3 else -1, -1).flatten(0, -2).abs()
    shut = (out <= 0.05).to(z).mean(0)
    dead = (out == 0).all(0)
    return Units(shut, dead, (shut >= 0.95) & ~dead)


def below(share: float) -> Callable:
    def judge(activation: nn.Module, z: Tensor) -> Units:
        found = health(activation, z)
        return found._replace(saturated=(found.shut >= share) & ~found.dead)

    return judge


@pytest.mark.parametrize(
    "mutant",
    [
        by_output,
        below(0.9),
        below(0.99),
        lambda activation, z: health(activation, z.movedim(1, -1)),
        lambda activation, z: (u := health(activation, z))._replace(dead=u.dead | u.saturated),
    ],
    ids=["by output", "from 90 %", "from 99 %", "another axis", "nearly dead is dead"],
)
def test_other_ideas_of_a_shut_unit_are_found_out(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        law_of_units(mutant)


@pytest.mark.parametrize(
    "ask",
    [
        lambda of, state, x: units(of, state, x),
        lambda of, state, x: features_over(of, [state], x),
        lambda of, state, x: unit(of, state, "1", 0)(x[0]),
    ],
    ids=["units", "features_over", "unit"],
)
def test_rows_of_another_width_are_refused(ask: Callable) -> None:
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x[:9], y[:9]))
    with pytest.raises(MapstoError, match=r"x: MAML cannot answer rows of shape \(1, 4, 3\) .*expected rows like"):
        ask(learner, state, x[..., :3])


@pytest.mark.parametrize("lost", [torch.nan, torch.inf])
def test_the_health_of_units_that_get_no_numbers_is_not_known(lost: float) -> None:
    learner, (x, y) = network(), rows()
    state = learner.adapt(examples(x[:9], y[:9]))
    with pytest.raises(MapstoError, match=r"^x: got 12 of 360 numbers that are not finite on the way to Tanh"):
        units(learner, state, x.where(torch.arange(30)[:, None, None, None] != 4, lost))


def test_units_of_an_adapted_network() -> None:
    learner, (x, y) = network(), rows()
    with torch.no_grad():
        learner.body[1].bias[5] = 50.0  # so far that its tanh stands at 1
    state = learner.adapt(examples(x[:9], y[:9]))
    found = units(learner, state, x)
    assert list(found) == ["body.2"]
    shut = found["body.2"].saturated | found["body.2"].dead  # dead where its slope is rounded to 0
    assert shut.tolist() == [j == 5 for j in range(12)]
    with pytest.raises(
        MapstoError, match=r"learner: got MAML, which ran no activation layer, expected modules such as torch\.nn\.ReLU"
    ):
        units(flat := MAML(nn.Linear(2, 2)), flat.adapt(examples(torch.eye(2), torch.tensor([0, 1]))), torch.eye(2))


# --- variance


def variance_law(explained: Callable) -> None:
    """η² is what the F statistic of scikit-learn's analysis of variance says, in groups of different sizes too."""
    uneven = torch.where(torch.arange(36) < 8, 0, torch.where(torch.arange(36) < 20, 1, 2))
    h = clouds(1.0) + torch.tensor([1.5, 0.0, 0.0, -2.0, 5.0], dtype=F64) * (uneven == 0)[:, None] + 3
    for labels in (LABELS, uneven):
        f = f_classif(h.numpy(), labels.numpy())[0]
        eta = f * 2 / (f * 2 + 36 - 3)
        assert eta.min() < 0.2 < 0.25 < eta.max()
        np.testing.assert_allclose(explained(h, labels).share.numpy(), eta)


def test_explained_variance_is_that_of_the_f_statistic() -> None:
    variance_law(variance_explained)


def unweighted(h: Tensor, labels: Tensor) -> Explained:
    means = torch.stack([h[labels == c].mean(0) for c in range(3)])
    return Explained(means.var(0, correction=0) / h.var(0, correction=0), 0.0)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda h, labels: Explained(1 - variance_explained(h, labels).share, 0.0),
        lambda h, labels: Explained(variance_explained(h, labels).share.sqrt(), 0.0),  # η, not its square
        lambda h, labels: variance_explained(h, labels.flip(0)),
        unweighted,
    ],
    ids=["what is left", "root", "other rows", "unweighted"],
)
def test_other_shares_of_variance_are_found_out(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        variance_law(mutant)


def test_groups_that_mean_nothing_explain_what_chance_does() -> None:
    h = draw(36, 4000, seed=13)
    found = variance_explained(h, LABELS)
    assert found.chance == pytest.approx(2 / 35)
    assert float(found.share.mean()) == pytest.approx(found.chance, rel=0.05)


def test_a_feature_that_does_not_vary_has_no_share() -> None:
    h = torch.cat([torch.full((36, 1), 0.1, dtype=F64), LABELS[:, None].double()], 1)
    share = variance_explained(h, LABELS).share
    assert share[0].isnan() and share[1] == pytest.approx(1)
    with pytest.raises(MapstoError, match="groups: got 1 of 36 rows"):
        variance_explained(h, torch.zeros(36).long())
    with pytest.raises(MapstoError, match=r"groups: got shape \(3,\)"):
        variance_explained(h, torch.zeros(3).long())
    with pytest.raises(MapstoError, match=r"^features: got NaN"):
        variance_explained(h * torch.nan, LABELS)


# --- probes


def ridge_law(probe: Callable) -> None:
    """A probe's accuracy is that of scikit-learn's ridge classifier on the same folds, with few features and many."""
    for d in (5, 60):
        h = torch.cat([0.35 * clouds(2), draw(36, 55, seed=14)], 1)[:, :d]
        fold = dealt(LABELS, 4, seed=2).numpy()
        right = 0
        for k in range(4):
            held = fold == k
            oracle = make_pipeline(StandardScaler(), RidgeClassifier(alpha=0.1 * (~held).sum()))
            oracle.fit(h[~held].numpy(), LABELS[~held].numpy())
            right += (oracle.predict(h[held].numpy()) == LABELS[held].numpy()).sum()
        assert 0.4 < right / 36 < 1
        assert float(probe({"h": h[None]}, LABELS, folds=4, seed=2).accuracy[0, 0]) == pytest.approx(right / 36)


def test_probes_are_scikit_learns_ridge_classifiers() -> None:
    ridge_law(probes)


@pytest.mark.parametrize("changed", [{"penalty": 100.0}, {"seed": 5}])
def test_other_probes_are_found_out(changed: dict) -> None:
    with pytest.raises(AssertionError):
        ridge_law(lambda features, y, **options: probes(features, y, **options | changed))


def test_information_that_a_layer_loses_is_missed_by_its_probe() -> None:
    clear = clouds(8)
    lost = clear - torch.stack([clear[c == LABELS].mean(0) for c in range(3)])[LABELS]
    found = probes({"first": torch.stack([clear, clear]), "second": torch.stack([lost, clear])}, LABELS)
    assert found.accuracy[0, 0] == 1 and found.accuracy[1, 0] < 0.5 and found.accuracy[1, 1] == 1
    assert found.chance == pytest.approx(1 / 3) and found.rows == 36


def test_a_fold_is_a_task_where_groups_say_so() -> None:
    """A feature that tells the class in each task, but means the opposite in the next, is of no use across tasks."""
    y = torch.arange(40) % 2
    tasks = torch.arange(40) // 20
    feature = ((2 * y - 1) * (1 - 2 * tasks))[:, None].double() + 0.01 * draw(40, 1)
    own = torch.cat([feature, feature * tasks[:, None], tasks[:, None].double()], 1)
    assert probes({"h": own[None]}, y).accuracy == 1
    assert probes({"h": own[None]}, y, groups=tasks).accuracy == 0


def test_folds_share_out_each_class() -> None:
    fold = dealt(LABELS, 4, seed=0)
    for c in range(3):
        assert fold[c == LABELS].bincount().tolist() == [3, 3, 3, 3]
    assert (fold != dealt(LABELS, 4, seed=1)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "^folds: got 1"),
        ({"penalty": 0.0}, "penalty: got 0.0"),
        ({"groups": torch.zeros(36).long()}, "groups: got one group"),
        ({"features": {}}, r"^features: got \[\] rows"),
        ({"features": {"h": clouds(1)[None] * torch.nan}}, "^features.*: got NaN"),
        ({"features": {"h": clouds(1)[None], "g": clouds(1)[None, :9]}}, r"features: got \[9, 36\] rows"),
        ({"features": clouds(1)[None]}, r"features: got a Tensor"),
        (
            {"features": {"h": clouds(1)}},
            r"^features: got a dict of other shapes",
        ),
        ({"y": LABELS.double()}, r"y: got torch.float64 of shape \(36,\)"),
        ({"y": LABELS[:5]}, r"y: got torch.int64 of shape \(5,\)"),
        ({"groups": LABELS[:5]}, r"groups: got torch.int64 of shape \(5,\)"),
        ({"groups": LABELS.double()}, r"groups: got torch.float64 of shape \(36,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_probes_that_cannot_be_judged_are_refused(options: dict, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        probes(**{"features": {"h": clouds(1)[None]}, "y": LABELS} | options)


# --- a learner that draws at random


@pytest.mark.parametrize(
    "ask",
    [
        lambda of, state, x: unit(of, state, "1", 0)(x[0]),
        lambda of, state, x: units(of, state, x)["body.1"].shut,
        lambda of, state, x: features_over(of, [state], x)["0"],
        lambda of, state, x: looks_like(of, state, examples(x, torch.arange(6) % 2), x).distance,
    ],
    ids=["unit", "units", "features_over", "looks_like"],
)
def test_a_learner_that_draws_at_random_is_refused_until_it_rests(ask: Callable) -> None:
    learner, x = PrototypicalNetwork(nn.Sequential(nn.Dropout(0.5), nn.Tanh()), ways=2), draw(6, 2)
    state = learner.adapt(examples(x, torch.arange(6) % 2))
    with pytest.raises(MapstoError, match=r"its Dropout 'body.0' draws at random in training.*learner.eval\(\)"):
        ask(learner, state, x)
    assert torch.equal(ask(learner.eval(), state, x), ask(learner, state, x))
