"""Explainers adapt to a task by a few steps on its support set, and learn an initialisation for these steps."""

import copy

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

import mapsto as mt
from mapsto.adaptation.batching import each_task
from mapsto.adaptation.inner import Adam
from mapsto.cli import main
from mapsto.commands.configuration import load_run
from mapsto.episodes import Episode, Examples, examples, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns, Interpreter
from mapsto.joint import Joint, Tuning
from mapsto.learners import MAML, Fixed
from mapsto.tasks import Logistic

pytestmark = pytest.mark.usefixtures("unchecked")


def joint(tuning: Tuning | None = None, shapley: bool = False) -> Joint:
    """Return a small learner with a deterministic explainer, or with one that draws random coalitions."""
    torch.manual_seed(0)
    learner = MAML(mt.models.MLP(2, 8, 2), lr=0.1)
    if shapley:
        return Joint(learner, {"why": AmortisedShapley(Columns(2), width=8, depth=1, heads=1)}, tuning=tuning)
    return Joint(learner, {"concepts": Interpreter({"1": 8}, 2, concepts=6, width=8)}, tuning=tuning)


def task(index: int = 0) -> Episode:
    return unstack(Logistic(shots=6, queries=5).batch(index, 1))[0]


def rows_loss(of: Joint, rows: Examples, support: Examples) -> Tensor:
    """Return the explainer's loss on rows, for the model that has adapted to the support set."""
    (explainer,) = of.explainers.values()
    return explainer.loss(of.prediction(of.adapt(support), rows.x), rows.y, rows.w)[0]


class TestSteps:
    @pytest.mark.parametrize("optimizer", [None, Adam()])
    def test_they_are_those_of_torch_on_the_support_set(self, optimizer) -> None:
        start, support = joint(), task().support
        got = start.tuned(support, Tuning(3, 0.05, optimizer=optimizer)).explainers["concepts"]
        expected = copy.deepcopy(start)
        kind = torch.optim.Adam if optimizer else torch.optim.SGD
        outer = kind(expected.explainers.parameters(), lr=0.05)
        for _ in range(3):
            outer.zero_grad()
            rows_loss(expected, support, support).backward()
            outer.step()
        for name, p in expected.explainers["concepts"].named_parameters():
            torch.testing.assert_close(got.get_parameter(name), p, atol=1e-6, rtol=1e-5)
        assert float(got.steps) == 3 and float(start.explainers["concepts"].steps) == 0

    def test_the_learner_the_original_and_the_random_numbers_of_others_stay_as_they_are(self) -> None:
        start, support = joint(shapley=True), task().support
        before = copy.deepcopy(start.state_dict())
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        result = start.tuned(support, Tuning(2, 0.1))
        assert torch.equal(torch.rand(3), expected)
        assert all(torch.equal(part, before[name]) for name, part in start.state_dict().items())
        assert all(torch.equal(part, before[f"learner.{n}"]) for n, part in result.learner.state_dict().items())
        again = start.tuned(support, Tuning(2, 0.1)).state_dict()
        assert all(torch.equal(part, again[name]) for name, part in result.state_dict().items())

    def test_new_explainers_are_trained_on_this_task_alone(self) -> None:
        start, episode = joint(shapley=True), task()
        whole = start.tuned(episode.support, Tuning(60, 0.01, optimizer=Adam()))
        state = whole.adapt(episode.support)
        values = whole.explain(state, episode.query.x)["why"]
        with pytest.raises(mt.MapstoError, match=r"^explainer: "):
            start.explain(state, episode.query.x)
        torch.manual_seed(1)
        losses = [
            float(sum(rows_loss(j, episode.query, episode.support).detach() for _ in range(20))) for j in (start, whole)
        ]
        assert losses[1] < 0.5 * losses[0]
        torch.testing.assert_close(values.base + values.values.sum(1), start.predict(state, episode.query.x).softmax(1))

    def test_minibatches_take_turns(self) -> None:
        start, support = joint(), task().support
        got, expected = start.tuned(support, Tuning(2, 0.05, minibatch=4)), copy.deepcopy(start)
        optimizer = torch.optim.SGD(expected.explainers.parameters(), lr=0.05)
        for first in (0, 4):
            rows = [(first + i) % len(support.w) for i in range(4)]
            part = Examples(support.x[rows], support.y[rows], support.w[rows] * len(support.w) / 4)
            optimizer.zero_grad()
            rows_loss(expected, part, support).backward()
            optimizer.step()
        for name, p in expected.explainers.named_parameters():
            torch.testing.assert_close(got.explainers.get_parameter(name), p, atol=1e-6, rtol=1e-5)

    def test_padding_changes_nothing(self) -> None:
        support = task().support
        padded = Examples(
            torch.cat([support.x, torch.full((2, 2), torch.nan)]),
            torch.cat([support.y, torch.zeros(2, dtype=torch.long)]), torch.cat([support.w, torch.zeros(2)]),
        )  # fmt: skip
        short, long = (joint().tuned(part, Tuning(2, 0.1)).explainers.state_dict() for part in (support, padded))
        for name, part in short.items():
            torch.testing.assert_close(long[name], part)


class TestTraining:
    @pytest.mark.parametrize("first_order", [False, True])
    def test_the_gradient_of_the_initialisation_is_exact_unless_it_is_first_order(self, first_order: bool) -> None:
        start = joint(Tuning(2, 0.5, first_order=first_order)).double()
        x, y, w = task().support
        x2, y2, w2 = task().query
        episode = Episode(Examples(x.double(), y, w.double()), Examples(x2.double(), y2, w2.double()))
        start.trains = "explainers"
        parameters = {n: p for n, p in start.named_parameters() if n.startswith("explainers")}
        generator = torch.Generator().manual_seed(1)
        way = {n: torch.randn(p.shape, generator=generator, dtype=torch.double) for n, p in parameters.items()}

        def loss(step: float) -> Tensor:
            return functional_call(start, {n: p + step * way[n] for n, p in parameters.items()}, (episode,))[0]

        slopes = torch.autograd.grad(loss(0.0), list(parameters.values()))
        slope = sum((g * way[n]).sum() for n, g in zip(parameters, slopes, strict=True))
        with torch.no_grad():
            difference = (loss(1e-6) - loss(-1e-6)) / 2e-6
        error = float((slope - difference).abs() / difference.abs())
        assert error > 1e-2 if first_order else error < 1e-5

    def test_the_loss_is_that_of_the_tuned_explainers_on_the_query_set(self) -> None:
        start, episode = joint(Tuning(4, 0.1)), task()
        start.trains = "explainers"
        loss, metrics = start.loss(episode)
        tuned = start.tuned(episode.support)
        torch.testing.assert_close(loss, rows_loss(tuned, episode.query, episode.support))
        assert (loss - rows_loss(start, episode.query, episode.support)).abs() > 1e-3
        assert float(metrics["explainers.concepts.steps"]) == 1

    def test_many_tasks_at_once_have_the_losses_of_one_after_the_other(self) -> None:
        start, tasks = joint(Tuning(2, 0.1)), Logistic(shots=6, queries=5).batch(0, 3)
        at_once, apart = (each_task(start, lambda e: start.loss(e)[0], tasks, vectorise=v) for v in (True, False))
        torch.testing.assert_close(at_once, apart)

    @pytest.mark.long
    def test_few_steps_help_more_after_training_for_them(self) -> None:
        """The labels of half of the tasks are swapped, which no features tell: only the support set does."""
        torch.manual_seed(0)
        tasks = Swapped()
        learned = {}
        for tuning in (None, Tuning(2, 0.5)):
            whole = Joint(
                Fixed(mt.models.MLP(2, 8, 2)), {"concepts": Interpreter({"1": 8}, 2, target="label")}, tuning=tuning
            )
            for _ in mt.train(whole, tasks, steps=50, batch=4, lr=2e-2):
                pass
            parts = unstack(tasks.test.batch(0, 40))
            losses = [rows_loss(whole.tuned(t.support, Tuning(2, 0.5)), t.query, t.support).detach() for t in parts]
            learned[tuning is not None] = float(torch.stack(losses).mean())
        assert learned[True] < 0.45 < 0.55 < learned[False]

    def test_a_configuration_can_hold_it(self, tmp_path) -> None:
        (tmp_path / "joint.yaml").write_text(CONFIGURATION)
        assert main(["train", "--config", str(tmp_path / "joint.yaml"), "--run", str(tmp_path / "run")]) == 0
        learner = load_run(tmp_path / "run").learner
        assert learner.tuning.steps == 2 and learner.tuning.lr == 0.3 and learner.explainers["why"].steps == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("steps", {"steps": 0}),
            ("steps", {"steps": 1.5}),
            ("minibatch", {"minibatch": 0}),
            ("lr", {"lr": 0.0}),
            ("lr", {"lr": float("nan")}),
            ("optimizer", {"optimizer": torch.optim.SGD}),
        ],
    )
    def test_bad_arguments_are_named(self, name: str, arguments: dict) -> None:
        with pytest.raises(mt.MapstoError, match=f"^{name}: "):
            Tuning(**arguments)

    def test_what_cannot_be_tuned_is_named(self) -> None:
        support = task().support
        with pytest.raises(mt.MapstoError, match=r"^tuning: "):
            joint().tuned(support)
        with pytest.raises(mt.MapstoError, match=r"^tuning: "):
            joint().tuned(support, (5, 0.1))
        with pytest.raises(mt.MapstoError, match=r"^tuning: "):
            joint(5)
        with pytest.raises(mt.MapstoError, match=r"^support: "):
            joint(Tuning()).tuned(None)
        with pytest.raises(mt.MapstoError, match=r"^tuning: .*empty support set"):
            joint(Tuning()).tuned(examples(support.x[:0], support.y[:0]))
        with pytest.raises(mt.MapstoError, match=r"^tuning: .*NaN"):
            joint().tuned(support, Tuning(20, 1e30))
        why = {name: AmortisedShapley(Columns(2)) for name in ("one", "two")}
        with pytest.raises(mt.MapstoError, match=r"^agreement: "):
            Joint(MAML(mt.models.MLP(2, 8, 2)), why, agreement=1.0, tuning=Tuning())


class Swapped(mt.tasks.Tasks):
    """Tasks whose class is the sign of the first column, or its opposite."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        x = torch.randn(count, 40, 2, generator=generator)
        swap = torch.randint(2, (count, 1), generator=generator)
        y, w = (x[..., 0] > 0).long() ^ swap, torch.full((count, 20), 1 / 20)
        return Episode(Examples(x[:, :20], y[:, :20], w), Examples(x[:, 20:], y[:, 20:], w))


CONFIGURATION = """
learner:
  class_path: mapsto.joint.Joint
  init_args:
    learner: {class_path: MAML, init_args: {body: {class_path: MLP, init_args: {widths: [2, 8, 2]}}}}
    explainers:
      why:
        class_path: mapsto.explainers.learned.AmortisedShapley
        init_args: {players: {class_path: mapsto.explainers.learned.Columns, init_args: {count: 2}}}
    tuning: {class_path: mapsto.joint.Tuning, init_args: {steps: 2, lr: 0.3}}
tasks: {class_path: Logistic}
steps: 1
batch: 2
"""
