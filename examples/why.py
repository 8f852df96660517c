"""Ask an adapted learner why: Integrated Gradients, exact Shapley values, and which teaching example did it.

Run: python examples/why.py    (MAPSTO_TINY=1 makes it small, as the tests do)

Whatever is asked, the explainer sees a *view* (an input of the chain moves) or a *game* (parts of it are hidden), and
never the learner. So each explainer works on query features, on support examples, and on the adapted state alike.
"""

import os

import torch

import mapsto as mt

TINY = bool(os.environ.get("MAPSTO_TINY"))

# A task whose reasons are known: the class is the sign of x0 − 2·x2; columns 1 and 3 mean nothing.
generator = torch.Generator().manual_seed(0)
x = torch.randn(20 if TINY else 60, 4, generator=generator)
support = mt.examples(x, (x[:, 0] - 2 * x[:, 2] > 0).long())

torch.manual_seed(0)
learner = mt.learners.MAML(mt.models.MLP(4, 16, 2), loss="cross_entropy", lr=0.5, steps=5 if TINY else 50)
point = torch.tensor([1.0, 1.0, -1.0, 1.0])


def margin(scores: torch.Tensor) -> torch.Tensor:
    """Map two class scores to one: how far class 1 is ahead."""
    return scores[1] - scores[0]


# 1. Why this prediction? Move the query features along a path, or hide each subset of them.
view = mt.views.query(learner, support, link=margin)
gradients = mt.explainers.IntegratedGradients(steps=64)(view, point)
shapley = mt.explainers.Shapley(samples=None)(mt.views.game(view, point, baseline=0.0))
print("column                 0       1       2       3     sum")
for name, values in (("Integrated Gradients", gradients), ("Shapley, exact", shapley)):
    print(f"{name:20s}", *(f"{value:+7.3f}" for value in values.tolist()), f"{values.sum():+7.3f}")
print(f"{'score − baseline':52s} {view(point) - view(torch.zeros(4)):+7.3f}")

# 2. Which teaching example caused it? The same explainer, through adaptation, on the weights of the support set.
weights = mt.views.weights(learner, support, point, link=margin)
influence = mt.explainers.IntegratedGradients(steps=16)(weights, support.w)
best = influence.argmax()
print(
    f"\nteaching example {best} spoke most for class 1: x = {support.x[best].numpy().round(1)}, y = {support.y[best]}"
)

# 3. Where else? `as_module` hands the adapted learner to captum, shap, torch.export or ONNX as a plain nn.Module.
module = mt.as_module(learner, support)
adapted = sum(buffer.numel() for buffer in module.buffers())
print(f"as a plain module: {adapted} adapted numbers, scores {module(point[None])[0].tolist()}")
