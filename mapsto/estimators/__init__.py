"""The scikit-learn interface of the shipped mappings: predict and explain tables, images, texts and pupils."""

from .classifier import MAX_CLASSES, TableClassifier
from .image_classifier import ImageClassifier
from .pretrained import PretrainedEstimator
from .pupil_tracer import PupilTracer
from .regressor import TableRegressor
from .table import MAX_COLUMNS, MAX_ROWS, TableEstimator
from .text_classifier import TextClassifier

__all__ = [
    "MAX_CLASSES",
    "MAX_COLUMNS",
    "MAX_ROWS",
    "ImageClassifier",
    "PretrainedEstimator",
    "PupilTracer",
    "TableClassifier",
    "TableEstimator",
    "TableRegressor",
    "TextClassifier",
]
