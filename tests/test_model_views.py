"""Views of any model: equal to the plain road if there is one, else to captum, shap or brute force."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.func import grad, grad_and_value, jacrev, vjp, vmap

from mapsto import explainers as E
from mapsto import measures, views
from mapsto.errors import MapstoError
from mapsto.games import Game

F64 = torch.float64


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def started(net: nn.Module) -> nn.Module:
    """The module in double precision and evaluation mode, with weights that do not depend on the global seed."""
    for i, parameter in enumerate(net.to(F64).parameters()):
        parameter.data = randn(*parameter.shape, seed=i) * (0.7 if parameter.ndim > 1 else 0.3)
    return net.eval()


def brute_force(value: Callable[[np.ndarray], float], players: int) -> Tensor:
    """Shapley values by their definition: the mean marginal contribution over all orders."""
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        seen = np.zeros(players, dtype=bool)
        before = value(seen)
        for player in order:
            seen[player] = True
            values[player] += (after := value(seen)) - before
            before = after
    return torch.tensor(values / math.factorial(players))


def close(got: Tensor, expected: Tensor, least: float = 1e-2, **tolerance: float) -> None:
    assert expected.abs().max() > least  # worth agreeing with
    torch.testing.assert_close(got.detach(), expected.detach(), **tolerance)


# ---- an ordinary network: each transform that an explainer uses, against the plain road

MLP = started(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)))
X = randn(10, 4, seed=9)


def plain(x: Tensor) -> Tensor:
    return MLP(x[None])[0]


def hidden(view: Callable, background: Tensor | None = None) -> Callable[[Tensor], Game]:
    return lambda x: views.game(view, x, background=background)


ROADS: dict[str, Callable[[Callable], Tensor]] = {
    "call": lambda h: h(X[0]),
    "vmap": lambda h: vmap(h)(X),
    "vmap of vmap": lambda h: vmap(vmap(h))(X.view(2, 5, 4)),
    "vmap along the last axis": lambda h: vmap(h, in_dims=1)(X.T),
    "jacrev": lambda h: jacrev(h)(X[0]),
    "vmap of jacrev": lambda h: vmap(jacrev(h))(X),
    "vmap of vmap of jacrev": lambda h: vmap(vmap(jacrev(h)))(X.view(5, 2, 4)),
    "vmap of grad_and_value": lambda h: torch.stack([*vmap(grad_and_value(lambda x: h(x).sum()))(X)[:1]]),
    "vmap of a vjp": lambda h: vmap(vjp(h, X[0])[1])(randn(7, 3))[0],
    "jacrev of vmap": lambda h: jacrev(vmap(h))(X[:2]),
    "Gradient": lambda h: E.Gradient().over(h, X),
    "IntegratedGradients": lambda h: E.IntegratedGradients(8, chunk_size=3).over(h, X, chunk_size=4),
    "ExpectedGradients": lambda h: E.ExpectedGradients(X, samples=20).over(h, X),
    "Smooth": lambda h: E.Smooth(E.IntegratedGradients(4), samples=4).over(h, X),
    "Smooth of a game": lambda h: E.Smooth(lambda h, x: E.Occlusion()(views.game(h, x)), samples=4)(h, X[0]),
    "Shapley": lambda h: E.Shapley(chunk_size=5).over(hidden(h, X), X, chunk_size=3),
    "LIME": lambda h: E.LIME().over(hidden(h), X),
    "Occlusion": lambda h: E.Occlusion()(hidden(h)(X[0])),
    "PermutationShapley": lambda h: E.PermutationShapley(pairs=4).over(hidden(h), X),
    "ShapleyInteractions": lambda h: E.ShapleyInteractions().over(hidden(h), X),
    "PGD": lambda h: measures.PGD(radius=0.1).over(lambda x: h(x)[0], X),
    "infidelity": lambda h: measures.infidelity(lambda x: h(x)[1], X, X, randn(10, 6, 4)).plain,
    "insertion": lambda h: measures.insertion_deletion(lambda x: views.game(lambda x: h(x)[2], x), X, X).insertion,
}


@pytest.mark.parametrize("road", ROADS)
def test_every_road_leads_to_the_same_numbers(road: str) -> None:
    close(ROADS[road](views.model(MLP, batch_size=7)), ROADS[road](plain), rtol=1e-6, atol=1e-6)


def test_a_target_selects_a_score_and_plain_autograd_works_too() -> None:
    h, x = views.model(MLP, target=2), X[0].clone().requires_grad_()
    slope = torch.autograd.grad(h(x), x)[0]
    close(slope, grad(lambda x: plain(x)[2])(X[0]))
    assert all(parameter.grad is None for parameter in MLP.parameters())


def test_the_model_gets_ordinary_rows_in_small_batches() -> None:
    sizes: list[int] = []

    def counted(rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        assert all(isinstance(row.item(), float) for row in rows.flatten())
        return MLP(rows)

    h = views.model(counted, target=0, batch_size=6)
    close(E.Shapley().over(hidden(h), X[:2]), E.Shapley().over(hidden(lambda x: plain(x)[0]), X[:2]))
    assert max(sizes[5:]) == 6 and sum(sizes[5:]) == 32  # 2 · 2⁴ coalitions, after five questions about the first row
    sizes.clear()
    E.IntegratedGradients(8).over(h, X[:2])
    assert max(sizes) == 6


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_do_not_depend_on_the_mode_of_the_caller(mode: Callable) -> None:
    expected = E.IntegratedGradients(8)(plain, X[0])
    with mode():
        values = E.IntegratedGradients(8)(views.model(MLP), X[0])
    close(values, expected)


def test_forward_mode_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^f: .*forward mode"):
        torch.func.jacfwd(views.model(MLP, target=0))(X[0])


SECOND: dict[str, Callable[[Callable], Tensor]] = {
    "second derivative": lambda h: jacrev(jacrev(h))(X[0]),
    "third derivative": lambda h: jacrev(jacrev(jacrev(h)))(X[0]),
    "vmap of a second derivative": lambda h: vmap(jacrev(jacrev(h)))(X),
    "derivative of an attribution": lambda h: jacrev(lambda x: E.IntegratedGradients(4)(h, x))(X[0]),
    "attribute by autograd": lambda h: torch.autograd.grad(
        E.InputXGradient().attribute(h, x := X[0].clone().requires_grad_()).square().sum(), x
    )[0],
    "an attack on an attribution": lambda h: measures.FGSM(radius=0.1)(
        lambda x: E.Gradient()(lambda x: h(x)[0], x).square().sum(), X[0]
    ),
}


@pytest.mark.parametrize("road", SECOND)
def test_derivatives_of_any_order_are_those_of_the_plain_road(road: str) -> None:
    close(SECOND[road](views.model(MLP, batch_size=7)), SECOND[road](plain), rtol=1e-6, atol=1e-6)


def test_the_second_derivative_of_a_linear_model_is_zero() -> None:
    weight = randn(4)
    assert torch.equal(jacrev(jacrev(views.model(lambda rows: rows @ weight)))(X[0]), torch.zeros(4, 4, dtype=F64))


# ---- a target for each row

TARGETS = torch.tensor([2, 0, 1, 1, 0, 2, 2, 1, 0, 0])
BY_TARGET: dict[str, Callable[[Callable], Tensor]] = {
    "Gradient": lambda explain: explain(E.Gradient(), lambda h: h),
    "IntegratedGradients": lambda explain: explain(E.IntegratedGradients(4), lambda h: h),
    "Smooth": lambda explain: explain(E.Smooth(E.Gradient(), samples=2), lambda h: h),
    "Shapley": lambda explain: explain(E.Shapley(), hidden),
    "Shapley with a background": lambda explain: explain(E.Shapley(), lambda h: hidden(h, X[:3])),
    "PermutationShapley": lambda explain: explain(E.PermutationShapley(2), hidden),
    "ShapleyInteractions": lambda explain: explain(E.ShapleyInteractions(), hidden),
}


@pytest.mark.parametrize("name", BY_TARGET)
def test_each_row_may_have_a_target_of_its_own(name: str) -> None:
    h = views.model(MLP)
    got = BY_TARGET[name](lambda explainer, of: explainer.over(of(h), X, 3, target=TARGETS))
    for target in range(3):
        alone = BY_TARGET[name](lambda e, of, t=target: e.over(of(views.model(MLP, target=t)), X))
        close(got[target == TARGETS], alone[target == TARGETS], rtol=1e-6, atol=1e-6)
    one = BY_TARGET[name](lambda explainer, of: explainer.over(of(h), X, target=1))
    close(one[TARGETS == 1], got[TARGETS == 1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "target", [3, -1, "ill", TARGETS[:4], TARGETS.double(), TARGETS - 1, torch.where(TARGETS == 2, 3, TARGETS)], ids=str
)
def test_what_is_no_target_of_a_row_is_refused(target: int | str | Tensor, unchecked: None) -> None:
    for call in (lambda: E.Gradient().over(views.model(MLP), X, target=target),
                 lambda: E.Shapley().over(hidden(views.model(MLP)), X, target=target)):  # fmt: skip
        with pytest.raises(MapstoError, match=r"^target: "):
            call()
    with pytest.raises(MapstoError, match=r"^target: .*one score"):
        E.Gradient().over(views.model(MLP, target=0), X, target=0)


@pytest.mark.parametrize("points", [X.numpy(), X[:0], X.tolist()], ids=["array", "empty", "list"])
@pytest.mark.parametrize("target", [None, 0])
def test_points_that_are_no_tensor_of_rows_are_refused(points: Any, target: int | None, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^points: "):
        E.Gradient().over(views.model(MLP), points, target=target)


def test_a_wrong_class_is_answered_with_the_names_as_texts() -> None:
    forest = RandomForestClassifier(2).fit(np.eye(2), np.array(["ill", "well"]))
    with pytest.raises(MapstoError, match=r"^target: .*\('ill', 'well'\)"):
        views.model(forest, target="il")


# ---- networks that vmap cannot trace


class Reader(nn.Module):
    """A recurrent network from sequences `[b, 4, 2]` to two scores, with a branch on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru, self.head = nn.LSTM(2, 5, batch_first=True), nn.GRU(5, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        lasts = self.gru(self.lstm(x)[0].transpose(0, 1))[0][-1]
        return torch.stack([self.head(last) * (2.0 if last[0].item() > 0 else 1.0) for last in lasts])


READER, SEQUENCES = started(Reader()), randn(3, 4, 2, seed=3)


def test_an_lstm_cannot_be_traced_but_hides() -> None:
    x, steps = SEQUENCES[0], torch.arange(4)[:, None].expand(4, 2)
    with pytest.raises(Exception, match="Batching rule"):
        vmap(lambda x: READER(x[None])[0])(SEQUENCES)
    expected = brute_force(lambda seen: READER(x[None] * torch.tensor(seen)[:, None])[0, 1].item(), 4)
    game = views.game(views.model(READER, target=1), x, groups=steps)
    close(E.Shapley()(game), expected)
    close(E.BayesianShapley(samples=16)(game), expected)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_an_lstm_has_the_gradients_of_captum() -> None:
    class Smoother(Reader):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.gru(self.lstm(x)[0].transpose(0, 1))[0][-1])

    net = started(Smoother())
    h, captums = views.model(net, target=1), captum.attr.IntegratedGradients(net)
    expected = captums.attribute(SEQUENCES, target=1, n_steps=16, method="gausslegendre")
    close(E.IntegratedGradients(16).over(h, SEQUENCES), expected)
    close(
        E.Gradient().over(views.model(net), SEQUENCES)[..., 1], captum.attr.Saliency(net).attribute(SEQUENCES, 1, False)
    )


class Words(nn.Module):
    """A small transformer over word numbers `[b, 5]` that returns a dictionary, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 3)
        self.block = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)

    def forward(self, tokens: Tensor) -> dict[str, Tensor | None]:
        states = self.block(self.embedding(tokens))
        return {"loss": None, "states": states, "logits": self.head(states.mean(1))}


WORDS, TOKENS = started(Words()), torch.tensor([3, 1, 6, 2, 5])


def test_words_can_be_hidden_by_a_mask_token() -> None:
    def value(seen: np.ndarray) -> float:
        return WORDS(torch.where(torch.tensor(seen), TOKENS, 4)[None])["logits"][0, 2].item()

    close(E.Shapley()(views.game(views.model(WORDS, target=2), TOKENS, baseline=4)), brute_force(value, 5).float())


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
def test_word_vectors_have_the_gradients_of_captum() -> None:
    view, point = views.model(WORDS, target=2, layer="embedding").at(TOKENS)
    baseline = torch.full((1, 5), 4)
    ours = E.IntegratedGradients(16, baseline=WORDS.embedding(baseline[0]).detach())
    captums = captum.attr.LayerIntegratedGradients(lambda tokens: WORDS(tokens)["logits"], WORDS.embedding)
    expected = captums.attribute(TOKENS[None], baseline, target=2, n_steps=16, method="gausslegendre")[0]
    close(ours(view, point), expected, least=5e-3)


def test_a_hundred_classes_are_explained_at_once() -> None:
    net = started(nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 100)))
    expected = E.IntegratedGradients(4).over(lambda x: net(x[None])[0], X[:2])
    close(E.IntegratedGradients(4).over(views.model(net), X[:2]), expected)
    assert expected.shape == (2, 4, 100)


# ---- a forest

ROWS = randn(200, 6, seed=4).numpy()
FOREST = RandomForestClassifier(10, max_depth=5, random_state=0).fit(
    ROWS, (ROWS[:, 0] * ROWS[:, 1] > 0) + (ROWS[:, 2] > 1)
)
x = torch.tensor(ROWS[0])


def test_a_forest_has_the_values_of_shap() -> None:
    import shap

    background = ROWS[1:21]
    expected = shap.TreeExplainer(FOREST, background, feature_perturbation="interventional")(ROWS[:2]).values
    ours = E.Shapley().over(hidden(views.model(FOREST), torch.tensor(background)), torch.tensor(ROWS[:2]))
    close(ours, torch.tensor(expected), rtol=1e-6, atol=1e-6)


HIDING = [
    *(E.Shapley(), E.Shapley(samples=40), E.LIME(), E.Occlusion(), E.BayesianShapley(samples=20)),
    *(E.PermutationShapley(pairs=4), E.ShapleyInteractions(), E.ShapleyInteractions(orders=6)),
]


@pytest.mark.parametrize("explainer", HIDING, ids=lambda explainer: type(explainer).__name__)
def test_whatever_hides_explains_a_forest(explainer: E.GameExplainer) -> None:
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    outcomes = torch.tensor(FOREST.predict_proba(masks * ROWS[0])[:, 1])
    places = 2.0 ** torch.arange(5, -1, -1)
    table = Game(lambda mask: outcomes[((mask @ places).long(),)], 6)  # the same game, looked up
    close(explainer(views.game(views.model(FOREST, target=1), x)), explainer(table))


def test_the_measures_of_faithfulness_judge_a_forest() -> None:
    h, points = views.model(FOREST, target=1), torch.tensor(ROWS[:3])
    values = E.Occlusion().over(hidden(h), points)
    curves = measures.insertion_deletion(hidden(h), points, values)
    assert curves.deletion[:, 0].tolist() == FOREST.predict_proba(ROWS[:3])[:, 1].tolist()
    assert measures.trust(E.Occlusion(), lambda x: h, hidden(h), points)["gap"].explainer.mean > 0


def test_a_forest_has_no_gradient() -> None:
    for explainer in (E.Gradient(), E.IntegratedGradients(), E.Smooth(E.Gradient())):
        with pytest.raises(MapstoError, match=r"^f: .* has no gradient; use an explainer that hides, such as Shapley"):
            explainer(views.model(FOREST, target=1), x)


def test_a_score_that_does_not_read_the_row_has_no_gradient() -> None:
    bias = torch.ones(1, requires_grad=True)
    with pytest.raises(MapstoError, match=r"^f: .* has no gradient; use an explainer that hides"):
        E.Gradient()(views.model(lambda rows: bias.expand(len(rows))), x)


def test_parameters_stay_as_live_as_they_were_even_if_the_model_fails() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.live, self.rest = nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(False)

        def forward(self, rows: Tensor) -> Tensor:
            if torch.is_grad_enabled() and rows[0, 0] > 1:
                raise ValueError("too large")
            return self.live(rows) + self.rest(rows)

    net = Fails().eval()
    h = views.model(net, target=0)
    torch.testing.assert_close(E.Gradient()(h, torch.ones(3)), net.live.weight[0].detach() + net.rest.weight[0])
    with pytest.raises(ValueError, match="too large"):
        E.Gradient()(h, 2 * torch.ones(3))
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, False]
