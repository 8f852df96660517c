"""A private alphabet for the words of a user, so that no translation of a page can touch them.

While a page is made, the letters of columns, classes, rows and cells are replaced by signs of Linear A, one for one: a
script that nobody can read, and whose signs are letters, one letter wide. So a column called "prediction" is no word of
the page. At the end, every sign becomes its letter again.
"""

from __future__ import annotations

import html
import re
import string
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_LETTERS = string.ascii_letters + ",.;:!?()=%'\"&<>"  # what means something to a phrase or in HTML
_SIGNS = {ord(letter): 0x10600 + ord(letter) for letter in _LETTERS}
_BACK = {sign: letter for letter, sign in _SIGNS.items()}
_NUMBERS = "biufcmM"
_QUOTED = re.compile(r"(?<!\w)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")


def hide(text: str) -> str:
    """Write a user's text in the private alphabet.

    >>> shown(hide("age, in years")), hide("12"), hide("age").isascii()
    ('age, in years', '12', False)
    """
    return text.translate(_SIGNS)


def shown(text: str) -> str:
    """Write what is hidden in a text in its own letters again."""
    return text.translate(_BACK)


def shown_in_html(text: str) -> str:
    """Write what is hidden in a page in its own letters again, those that mean something in HTML escaped."""
    for mark in '"&<>':
        text = text.replace(hide(mark), html.escape(mark))
    return shown(text)


def hide_quoted(text: str) -> str:
    """Hide what stands in quotation marks in a sentence of the library, such as the name of a column.

    >>> hide_quoted("column 'a b': the same") == f"column '{hide('a')} {hide('b')}': the same"
    True
    """
    return _QUOTED.sub(lambda quoted: quoted[0][0] + hide(quoted[0][1:-1]) + quoted[0][-1], text)


def hide_cells(cells: np.ndarray) -> np.ndarray:
    """Hide the texts in an array."""
    if cells.dtype.kind not in "OU" or not cells.size:
        return cells
    found = np.vectorize(lambda cell: hide(cell) if isinstance(cell, str) else cell, otypes=[object])(cells)
    return found.astype(cells.dtype)


def hide_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Hide the texts in the cells of a table."""
    import pandas as pd

    hidden = table.copy()
    for j, dtype in enumerate(table.dtypes):
        if dtype.kind not in _NUMBERS:
            cells = hide_cells(table.iloc[:, j].to_numpy(object))
            hidden.isetitem(j, pd.Series(cells, table.index, dtype=object))  # which keeps None
    return hidden


def hide_table(table: pd.DataFrame) -> pd.DataFrame:
    """Hide the names of the columns and rows of a table, and the texts in its cells."""
    hidden = hide_texts(table).set_axis([hide(str(name)) for name in table.columns], axis=1)
    index = table.index
    return hidden if index.dtype.kind in _NUMBERS else hidden.set_axis(hide_cells(index.to_numpy(object)), axis=0)
