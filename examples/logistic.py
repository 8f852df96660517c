"""MAML on logistic regression, small enough to check by hand: its meta-gradient from a formula, then from autograd.

Run: python examples/logistic.py

    p = σ(Xφ),   ℓ(φ) = −Σ w·(y·log p + (1 − y)·log(1 − p)),   ∇ℓ = Xᵀ(w ∘ (p − y)),   H = Xᵀ diag(w·p·(1 − p)) X
    one step on the support:     φ = θ − lr·∇ℓ_support(θ)
    meta-gradient, chain rule:   ∇_θ ℓ_query(φ) = (I − lr·H_support(θ))·∇ℓ_query(φ)

First-order MAML leaves H out (Finn et al. 2017, §5.2): the example prints how far that is off.
"""

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Examples, unstack


class LogOdds(nn.Module):
    """x `[n, d]` ↦ class scores [0, x·φ]: their softmax is [1 − σ, σ]."""

    def __init__(self, features: int):
        super().__init__()
        self.phi = nn.Parameter(torch.zeros(features, dtype=torch.double))

    def forward(self, x: Tensor) -> Tensor:
        """Score `n` rows."""
        return torch.stack([torch.zeros(len(x), dtype=x.dtype), x @ self.phi], -1)


def slope(phi: Tensor, d: Examples) -> Tensor:
    """∇ℓ by hand."""
    return d.x.T @ (d.w * ((d.x @ phi).sigmoid() - d.y))


def curvature(phi: Tensor, d: Examples) -> Tensor:
    """H by hand."""
    p = (d.x @ phi).sigmoid()
    return d.x.T @ torch.diag(d.w * p * (1 - p)) @ d.x


lr, features = 2.0, 2
tasks = mt.tasks.Logistic(features, shots=10, queries=10, intercept=0.0)
episode = unstack(tasks.batch(0, count=1))[0].to(torch.double)

learner = mt.learners.MAML(LogOdds(features), lr=lr, steps=1)
nn.init.constant_(learner.body.phi, 0.5)
theta = learner.body.phi.detach()

phi = theta - lr * slope(theta, episode.support)
by_hand = (torch.eye(features) - lr * curvature(theta, episode.support)) @ slope(phi, episode.query)

learner.loss(episode)[0].backward()
by_autograd = learner.body.phi.grad

print("adapted parameters    by hand", [round(v, 6) for v in phi.tolist()])
print("meta-gradient         by hand", [round(v, 6) for v in by_hand.tolist()])
print("                  by autograd", [round(v, 6) for v in by_autograd.tolist()])
print(f"they differ by {float((by_hand - by_autograd).norm()):.1e}")
first_order = slope(phi, episode.query)
print(f"first order is off by {float((first_order - by_hand).norm() / by_hand.norm()):.3f} of its length")

learner = mt.learners.MAML(LogOdds(features).float(), lr=lr, steps=1)
for step in mt.train(learner, tasks, steps=300, batch=25, lr=0.05):
    if step.step in (1, 300):
        print(f"step {step.step:3d}: log loss after one step on ten examples {step.metrics['loss']:.3f}")
print(f"someone told the true slopes: {tasks.bayes(0, 1000):.3f}")
