"""A small table in, predictions and reasons out; then the reasons are checked against exact Shapley values.

Run: python examples/table.py      (MAPSTO_TINY=1 makes it small, as the tests do)
"""

import itertools
import math
import os

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import mapsto as mt

TINY = bool(os.environ.get("MAPSTO_TINY"))

# 48 patients teach. Of the 30 columns we take a few, so that all 2^d subsets of them can be enumerated below.
table = load_breast_cancer(as_frame=True)
columns = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "worst area", "worst symmetry"]
columns = columns[: 4 if TINY else 6]
X, new, y, truth = train_test_split(
    table.data[columns], table.target, train_size=48, random_state=0, stratify=table.target
)
new, truth = new[: 8 if TINY else None], truth[: 8 if TINY else None]

# `fit` is one forward pass of the shipped mapping: nothing is trained here.
clf = mt.TableClassifier().fit(X, y.map({0: "malignant", 1: "benign"}))
probability = clf.predict_proba(new)
right = clf.predict(new) == np.where(truth == 1, "benign", "malignant")
print(f"accuracy on {len(new)} new patients: {right.mean():.3f}")

# The reasons, in probability: each column's share of the way from the base value to the prediction.
reasons = clf.explain(new)
malignant = list(reasons.class_names).index("malignant")
print(f"\nP(malignant) of the first patient: {probability[0, malignant]:.3f}")
print(f"{reasons.base_values[0, malignant]:+.3f}  with every column absent")
for name, value in zip(reasons.feature_names, reasons.values[0, :, malignant], strict=True):
    print(f"{value:+.3f}  {name}")

# A NaN cell is an absent column, so anyone can compute exact Shapley values of this very model from `predict_proba`.
d, some = len(columns), new[:4]
masks = np.array(list(itertools.product([False, True], repeat=d)))
v = [clf.predict_proba(some.assign(**dict.fromkeys(some.columns[~mask], np.nan)))[:, malignant] for mask in masks]
exact = np.zeros((len(some), d))
for j, (mask, outcome) in itertools.product(range(d), zip(masks, v, strict=True)):
    size = int(mask.sum())
    if mask[j]:
        exact[:, j] += outcome / (d * math.comb(d - 1, size - 1))
    else:
        exact[:, j] -= outcome / (d * math.comb(d - 1, size))
gap = np.abs(reasons.values[:4, :, malignant] - exact).mean()
print(f"\nmean distance of the one-pass values from the exact ones: {gap:.4f} (in probability)")

# Which training patients drove the first prediction? Delete each in turn (its weight becomes 0).
influence = clf.influence(new[:1])[0, :, malignant]
strongest = np.abs(influence).argmax()
print(f"without training row {X.index[strongest]}, P(malignant) would change by {influence[strongest]:+.4f}")
