"""The files of a question: the cells of its rows as they were given, and where each row stands."""

from dataclasses import dataclass

from ...tables.tablefile import TableFile


@dataclass(frozen=True, eq=False)
class Source:
    """The files from which the tables of a question were read.

    Attributes:
        file: the table whose rows are explained.
        train: the table whose rows teach; the same object as `file` if there is one table.
        target: the name of the outcome's column.
    """

    file: TableFile
    train: TableFile
    target: str
