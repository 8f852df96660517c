"""Train a network and two networks that explain it as one: concepts, and Shapley values in one look.

Run: python examples/joint.py    (MAPSTO_TINY=1 makes it small, as the tests do)

The network reads handwritten digits. While it learns, an `Interpreter` learns to rebuild its prediction from a few
concepts, and an `AmortisedShapley` learns what each patch of an image contributes. Both read its intermediate features.
"""

import os

import torch
from sklearn.datasets import load_digits

import mapsto as mt
from mapsto.explainers.learned import AmortisedShapley, Interpreter, Patches

TINY = bool(os.environ.get("MAPSTO_TINY"))

images, labels = load_digits(return_X_y=True)
digits = mt.tasks.Minibatches(images.reshape(-1, 1, 8, 8) / 16, labels, size=64)

torch.manual_seed(0)
network = mt.models.ResNet12(widths=(8, 16), outputs=10, size=8)
features = {"blocks.0": 8, "blocks.1": 16}  # the features to read, and their channels
joint = mt.Joint(
    mt.learners.Fixed(network),
    {
        "concepts": Interpreter({"blocks.1": 16}, outputs=10),
        "why": AmortisedShapley(Patches((1, 8, 8), 2), outputs=10, reads=features),
    },
)
for step in mt.train(joint, digits, steps=60 if TINY else 1500, batch=1, lr=3e-3, schedule="cosine"):
    if step.step % 250 == 0:
        print(step.step, {name: round(value, 3) for name, value in step.metrics.items()})

print("on new images:", mt.evaluate(joint, digits.test))
task = mt.episodes.unstack(digits.test.batch(0, 1))[0]
x, y, _ = task.query
state = joint.adapt(task.support)  # a plain network ignores the support set, which is empty
reasons = joint.explain(state, x)

concepts = reasons["concepts"]
same = concepts.outcome.argmax(1) == joint.predict(state, x).argmax(1)
print(f"the concepts give the class of the network for {same.double().mean():.3f} of {len(x)} images")
digit = int(y[0])
values, base = reasons["why"].values[0, :, digit], reasons["why"].base[0, digit]
print(f"P({digit}) of the first image: {joint.predict(state, x[:1]).softmax(-1)[0, digit]:.3f}, made of")
print(f"{base:+.3f} without any patch")
for patch, value in enumerate(values.tolist()):
    print(f"{value:+.3f} patch in row {patch // 4}, column {patch % 4}")
