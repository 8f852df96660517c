"""A plain network trained through `Fixed` is the network that ordinary training gives."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.adaptation.running_norm import _wide_moments
from mapsto.episodes import Episode, Examples, examples
from mapsto.learners import Fixed
from mapsto.tasks import ImageMinibatches, Minibatches, TableMinibatches
from mapsto.training.validation import ValidationLoss

NETS = {
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)),
    "convolutions": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)),
        nn.Conv1d(1, 4, 2),
        nn.BatchNorm1d(4, momentum=0.3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8, 2),
    ),
    "no batch norm": lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)),
}


@pytest.fixture
def data() -> Minibatches:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    return Minibatches(x, x[:, 0] + x[:, 1] > 0, size=16)


def plain(net: nn.Module, data: Minibatches, steps: int, lr: float) -> nn.Module:
    """Train with torch alone."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for step in range(steps):
        x, y, w = (part[0] for part in data.batch(step, 1).query)
        optimizer.zero_grad()
        F.cross_entropy(net(x[w > 0]), y[w > 0]).backward()
        optimizer.step()
    return net


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
@pytest.mark.parametrize("how", [{"vectorise": False}, {"vectorise": True}], ids=["one by one", "vmap"])
def test_it_trains_as_torch_does(make, how, data):
    net = make()
    learner = Fixed(copy.deepcopy(net))
    list(mt.train(learner, data, steps=6, batch=1, lr=0.3, optimizer="sgd", **how))
    plain(net, data, 6, 0.3)
    for name, tensor in net.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(learner.state_dict()[f"body.{name}"], tensor, rtol=1e-4, atol=1e-5)
    x = torch.randn(7, 3)
    torch.testing.assert_close(learner.predict(learner.adapt(empty(3)), x), net.eval()(x), rtol=1e-4, atol=1e-5)


def empty(d: int) -> Examples:
    return examples(torch.empty(0, d), torch.empty(0, dtype=torch.long))


def test_several_minibatches_in_one_step_and_threads_give_the_same_averages(data):
    def trained(**how):
        torch.manual_seed(0)
        learner = Fixed(NETS["batch norm"]())
        list(mt.train(learner, data, steps=3, batch=4, lr=0.1, optimizer="sgd", **how))
        return learner.state_dict()

    whole = trained()
    for how in ({"chunk_size": 2, "vectorise": True}, {"threads": 2, "chunk_size": 2, "vectorise": True}):
        for name, tensor in trained(**how).items():
            torch.testing.assert_close(tensor, whole[name], rtol=1e-4, atol=1e-5)


def test_a_prediction_never_depends_on_other_rows(data):
    learner = Fixed(NETS["batch norm"]())
    list(mt.train(learner, data, steps=3, batch=1))
    learner.train()
    state, x = learner.adapt(empty(3)), torch.randn(5, 3)
    torch.testing.assert_close(learner.predict(state, x), torch.cat([learner.predict(state, row[None]) for row in x]))


def test_dropout_is_off_in_predictions_and_buffers_of_any_kind_are_trained(data, tmp_path):
    def make():
        torch.manual_seed(0)
        first = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 8))
        return Fixed(nn.Sequential(first, nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2)))

    whole = make()
    list(mt.train(whole, data, steps=6, batch=1, run=tmp_path / "whole"))
    whole.train()
    state, x = whole.adapt(empty(3)), torch.randn(5, 3)
    torch.testing.assert_close(whole.predict(state, x), whole.predict(state, x), rtol=0, atol=0)
    steps = mt.train(make(), data, steps=6, batch=1, run=tmp_path / "part")
    for _ in range(3):
        next(steps)
    steps.close()
    part = make()
    list(mt.train(part, data, steps=6, batch=1, run=tmp_path / "part", resume=True))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(part.state_dict()[name], tensor, rtol=0, atol=0)


def test_batch_norm_in_evaluation_mode_keeps_its_averages(data):
    learner = Fixed(NETS["batch norm"]())
    learner.body[1].eval()
    list(mt.train(learner, data, steps=3, batch=1))
    assert not learner.body[1].running_mean.any()


def test_the_moving_average_of_the_weights_has_its_own_batch_norm(data):
    plain = Fixed(NETS["batch norm"]())
    averaged, expected = copy.deepcopy(plain), torch.zeros(8)
    for _ in mt.train(plain, data, steps=4, batch=1, lr=0.1):
        expected = 0.5 * expected + 0.5 * plain.body[1].running_mean
    list(mt.train(averaged, data, steps=4, batch=1, lr=0.1, ema=0.5))
    torch.testing.assert_close(averaged.body[1].running_mean, expected)
    assert not torch.allclose(expected, plain.body[1].running_mean, rtol=0.1)


def test_low_precision_normalises_by_moments_in_single_precision(data):
    layer = Fixed(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))).body[0]
    x = (30 + torch.randn(64, 3)).bfloat16()
    mean, var = _wide_moments(x, torch.full((64,), 1 / 64, dtype=torch.bfloat16))
    torch.testing.assert_close(mean, x.float().mean(0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(var, x.float().var(0, correction=0), rtol=1e-3, atol=1e-4)
    learner = Fixed(NETS["batch norm"]())
    *_, step = mt.train(learner, data, steps=2, batch=1, precision="bf16-mixed")
    assert math.isfinite(step.metrics["loss"]) and layer.running_mean.dtype == torch.float32


def test_rows_of_weight_zero_do_not_count():
    learner = Fixed(NETS["batch norm"]())
    x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    padded = Examples(
        torch.cat([x, 1e3 * torch.ones(2, 3)]), torch.cat([y, y[:2]]), torch.tensor([1 / 6] * 6 + [0.0] * 2)
    )
    (loss, metrics), (padded_loss, padded_metrics) = (
        learner.loss(Episode(empty(3), rows)) for rows in (examples(x, y), padded)
    )
    torch.testing.assert_close(loss, padded_loss)
    for name, metric in metrics.items():
        torch.testing.assert_close(metric, padded_metrics[name])


def test_a_run_resumes_with_its_averages_and_keeps_the_best(data, tmp_path):
    def trained(folder, steps, **options):
        torch.manual_seed(0)
        learner = Fixed(NETS["batch norm"]())
        validation = ValidationLoss(data.validation)
        list(
            mt.train(
                learner,
                data,
                steps=steps,
                batch=1,
                lr=0.1,
                run=folder,
                validation=validation,
                validate_every=2,
                **options,
            )
        )
        return learner

    whole = trained(tmp_path / "whole", 9)
    trained(tmp_path / "part", 9, checkpoint_every=4)
    torch.manual_seed(1)
    resumed = trained(tmp_path / "part", 9, resume=True)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor)


def test_it_learns_and_is_explained_like_every_learner(data):
    torch.manual_seed(0)
    learner = Fixed(mt.models.MLP(3, 32, 32, 2))
    list(mt.train(learner, data, steps=100, batch=1, lr=0.01))
    score = mt.evaluate(learner, data.test)
    assert score.accuracy.mean > 0.8 and score.tasks == len(data.test) == 4
    support, x = data.test.batch(0, 1).support, data.test.batch(0, 1).query.x[0]
    view = mt.views.query(learner, Examples(*(part[0] for part in support)), target=1)
    reasons = mt.explainers.Shapley().over(lambda row: mt.views.game(view, row, baseline=0.0), x)
    torch.testing.assert_close(reasons.sum(1), torch.stack([view(row) - view(torch.zeros(3)) for row in x]))
    assert (reasons[:, :2].abs().mean() > 5 * reasons[:, 2].abs().mean()).item()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_epoch_holds_each_row_once(split):
    data = Minibatches(np.arange(101.0)[:, None], np.arange(101) % 2, size=10).of(split)
    epochs = [[data.batch(i, 1).query for i in range(e * len(data), (e + 1) * len(data))] for e in (0, 1)]
    rows = [[float(x) for q in epoch for x, w in zip(q.x[0, :, 0], q.w[0], strict=True) if w > 0] for epoch in epochs]
    assert sorted(rows[0]) == sorted(rows[1]) == sorted(set(rows[0])) and len(rows[0]) == len(data.rows[split])
    assert (rows[0] != rows[1]) == (split == "train")
    assert all(math.isclose(float(q.w.sum()), 1, abs_tol=1e-6) for q in epochs[0])
    parts = [set(Minibatches.of(data, s).rows[s].tolist()) for s in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 101


def test_a_batch_is_a_slice_of_the_stream_of_minibatches(data):
    together = data.batch(1, 3, seed=4).query.x
    for i in range(3):
        torch.testing.assert_close(together[i], data.batch(3 + i, 1, seed=4).query.x[0])
    assert not torch.equal(data.batch(0, 1, seed=1).query.x, data.batch(0, 1, seed=2).query.x)


def test_a_table_becomes_inputs_that_name_their_columns():
    n = 60
    frame = pd.DataFrame({"age": np.arange(n) * 1.0, "ward": ["a", "b", None] * (n // 3), "ill": [0, 1] * (n // 2)})
    frame.loc[4, "age"] = None
    data = TableMinibatches(frame, "ill", size=8)
    assert data.columns == ["age", "ward"] and data.groups.tolist() == [0, 1, 1] and data.names == ["0", "1"]
    train = data.rows["train"]
    age = frame["age"].to_numpy()[train.numpy()]
    expected = (frame["age"] - np.nanmean(age)) / np.nanstd(age)
    np.testing.assert_allclose(data.x[:, 0], expected.fillna(0), atol=1e-5)
    np.testing.assert_array_equal(data.x[:3, 1:], [[1, 0], [0, 1], [0, 0]])


def test_a_folder_of_pictures_becomes_minibatches(tmp_path):
    from PIL import Image

    for name, grey in (("dark", 51), ("light", 204)):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("L", (9, 9), grey).save(tmp_path / name / f"{i}.png")
    data = ImageMinibatches(tmp_path, size=4, pixels=8)
    batch = data.batch(0, 2).query
    assert batch.x.shape == (2, 4, 1, 8, 8) and data.names == ["dark", "light"]
    torch.testing.assert_close(batch.x.mean((2, 3, 4)), torch.where(batch.y == 0, 0.2, 0.8))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "make"),
    {
        "loss": lambda: Fixed(nn.Linear(2, 2), loss="hinge"),
        "body": lambda: Fixed(nn.BatchNorm1d(2, momentum=None)),
        "x": lambda: Minibatches(np.array([["a"]]), [0]),
        "y": lambda: Minibatches(np.zeros((3, 2)), [0, 1]),
        "size": lambda: Minibatches(np.zeros((3, 2)), [0, 1, 0], size=0),
        "splits": lambda: Minibatches(np.zeros((4, 2)), [0, 1, 0, 1], splits=(0.9, 0.1, 0.0)).test.batch(0, 1),
        "tasks": lambda: mt.evaluate(
            Fixed(nn.Linear(2, 2)), Minibatches(np.zeros((4, 2)), [0, 1, 0, 1], splits=(1, 0, 0)).test
        ),
        "body ": lambda: Fixed(NETS["batch norm"]()).loss(
            Episode(empty(3), examples(torch.ones(1, 3), torch.zeros(1, dtype=torch.long)))
        ),
        "y ": lambda: Minibatches(np.zeros((3, 2)), [0.5, 1.5, 2.5]),
        "y  ": lambda: Minibatches(np.zeros((3, 2)), ["a", "b", "c"], regression=True),
        "target": lambda: TableMinibatches(pd.DataFrame({"a": [1, 2]}), "b"),
        "path": lambda: ImageMinibatches("nowhere"),
    }.items(),
)  # fmt: skip
def test_bad_arguments_are_named(name, make):
    with pytest.raises(mt.MapstoError, match=rf"^{name.strip()}: "):
        make()


@pytest.mark.parametrize("y", [[0, 0, 0], [None, 1, 0], ["a", "a", "a"]])
def test_bad_classes_are_refused(y):
    with pytest.raises(mt.MapstoError, match=r"^y: "):
        Minibatches(np.zeros((3, 2)), np.array(y, dtype=object))
    with pytest.raises(mt.MapstoError, match=r"^y: "):
        Minibatches(np.zeros((3, 2)), [0.0, float("nan"), 1.0], regression=True)
