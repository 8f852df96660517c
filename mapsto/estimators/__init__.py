"""The scikit-learn interface of the shipped mappings: predict and explain tables, images and texts without training."""

from .classifier import MAX_CLASSES, TableClassifier
from .image_classifier import ImageClassifier
from .pretrained import PretrainedEstimator
from .regressor import TableRegressor
from .table import MAX_COLUMNS, MAX_ROWS, TableEstimator
from .text_classifier import TextClassifier

__all__ = [
    "MAX_CLASSES",
    "MAX_COLUMNS",
    "MAX_ROWS",
    "ImageClassifier",
    "PretrainedEstimator",
    "TableClassifier",
    "TableEstimator",
    "TableRegressor",
    "TextClassifier",
]
