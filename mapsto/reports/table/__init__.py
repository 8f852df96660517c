"""A table's predictions, explained, checked and shown on one page."""

import os
from typing import TYPE_CHECKING, Any

from ..language import refuse_unknown
from ..page import refuse_unwritable
from .answer import Answer, NumberAnswer, answer
from .hidden import TITLE
from .html import write
from .question import Question

if TYPE_CHECKING:
    from ...estimators.table import TableEstimator

__all__ = ["Answer", "NumberAnswer", "Question", "table"]


def table(
    clf: "TableEstimator",
    X: Any,
    y: Any = None,
    path: str | os.PathLike[str] = "report.html",
    *,
    train: tuple[Any, Any] | None = None,
    title: str = TITLE,
    seed: int = 0,
    quality: bool = True,
    language: str = "en",
) -> Any:
    """Predict and explain the rows `X`, write one HTML page about them, and return predictions and explanations.

    The page shows which columns moved the predictions. For single predictions, it shows the contributions of the
    columns and the training rows behind the prediction. It also shows the quality of the predictions, with 95 %
    intervals and beside simple rivals, and how closely the explanations agree with exact Shapley values. The quality is
    measured on the rows whose outcome is known; if there are none, by cross-validation of the training rows.
    `mapsto explain TABLE` does the same from the command line.

    Args:
        clf: a fitted `TableClassifier` or `TableRegressor`. If numbers are predicted, the page is in the unit of the
            outcome; a Series `y` says its name and unit, such as "stay (days)".
        X: the rows to explain `[n, d]`, a DataFrame or an array. The page labels the rows by the index of the
            DataFrame.
        y: the true outcomes `[n]` of these rows, from which the quality of the predictions is measured. A missing entry
            means that the outcome of this row is unknown. If None, no outcome is known.
        path: the file to write.
        train: the rows and labels to which `clf` was fitted. If None, the page shows the training rows stored in `clf`.
            These stored rows are in single precision, are labelled by row number, and lack the columns that `clf`
            dropped.
        title: the title of the page.
        seed: the random seed of the folds of the cross-validation, and of the random forest.
        quality: if False, neither predictions nor explanations are checked, which is much faster.
        language: the language of the page, "en" for English or "zh" for simplified Chinese. Cells and names of the
            table stay as they are.

    Raises:
        MapstoError: if `clf` is not a fitted estimator for tables, `X` lacks one of the columns of `fit`, `X` and `y`
            differ in length, the rows and labels of `train` are not those to which `clf` was fitted, there is no such
            `language`, or the page cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from mapsto import TableClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = TableClassifier().fit(X[::5], y[::5])
    >>> path = Path(tempfile.mkdtemp()) / "report.html"
    >>> answer = table(clf, X[1::10], y[1::10], path)
    >>> answer.probabilities.shape, answer.summary["accuracy"] > 0.9, path.exists()
    ((15, 3), True, True)
    """
    from .rows import question

    refuse_unwritable(path)
    refuse_unknown(language)
    result = answer(question(clf, X, y, train, seed), clf, quality)
    write(result, path, title, language=language)
    return result
