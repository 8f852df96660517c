"""The weights of the image classifier fit their configuration, classify unseen characters, and explain them."""

import torch

import mapsto as mt
from mapsto.episodes import unstack
from mapsto.explainers.coalitions import exact
from mapsto.weights import FOLDER, load_images


def test_the_weights_are_small_and_classify_unseen_characters() -> None:
    assert (FOLDER / "images.safetensors").stat().st_size <= 4 * 2**20
    tasks = mt.tasks.DrawnCharacters(ways=5, shots=1, queries=5).test
    assert mt.evaluate(load_images(), tasks, episodes=40).accuracy.mean > 0.93


def test_the_explanations_are_nearly_exact() -> None:
    of, errors, spread = load_images(), 0.0, 0.0
    why = of.explainers["why"]
    tasks = mt.tasks.PlantedStrokes(ways=5, shots=1, queries=1, size=32, strokes=1, distractors=1).test.batch(0, 6)
    for task in unstack(tasks):
        state, x = of.adapt(task.support), task.query.x[:1]
        inked = why.players.effective(x)[0].nonzero()[:, 0]
        assert len(inked) <= 11
        plan = exact(len(inked))
        masks = torch.zeros(len(plan.masks), 16)
        masks[:, inked] = plan.masks
        outcome = torch.cat(
            [of.predict(state, why.players.show(x, part[None])[0]).softmax(-1) for part in masks.split(128)]
        )
        true = torch.zeros(16, 5)
        true[inked] = plan.weights @ outcome
        values, base, *_ = (part[0] for part in of.explain(state, x)["why"])
        torch.testing.assert_close(base + values.sum(0), outcome[-1], rtol=1e-4, atol=1e-5)
        errors, spread = errors + float((values - true).square().sum()), spread + float(true.square().sum())
    assert 1 - errors / spread > 0.9
