"""The scikit-learn interface of the shipped mapping: predict and explain the rows of a small table without training."""

from .classifier import MAX_CLASSES, TableClassifier
from .regressor import TableRegressor
from .table import MAX_COLUMNS, MAX_ROWS, TableEstimator

__all__ = ["MAX_CLASSES", "MAX_COLUMNS", "MAX_ROWS", "TableClassifier", "TableEstimator", "TableRegressor"]
