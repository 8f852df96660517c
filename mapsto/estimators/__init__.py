"""scikit-learn estimators of the shipped mapping: fit a small table, predict and explain its rows, without training."""

from .classifier import MAX_CLASSES, TableClassifier
from .regressor import TableRegressor
from .table import MAX_COLUMNS, MAX_ROWS, TableEstimator

__all__ = ["MAX_CLASSES", "MAX_COLUMNS", "MAX_ROWS", "TableClassifier", "TableEstimator", "TableRegressor"]
