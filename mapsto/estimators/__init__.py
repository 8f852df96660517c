"""The scikit-learn face of the shipped mapping: a small table in, predictions and reasons out, without any training."""

from .classifier import MAX_CLASSES, TableClassifier
from .regressor import TableRegressor
from .table import MAX_COLUMNS, MAX_ROWS, TableEstimator

__all__ = ["MAX_CLASSES", "MAX_COLUMNS", "MAX_ROWS", "TableClassifier", "TableEstimator", "TableRegressor"]
