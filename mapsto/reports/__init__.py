"""Reports: a question about a table or a test task answered completely, on one HTML page."""

from .film import write_film
from .table import table
from .task import task

__all__ = ["table", "task", "write_film"]
