"""Columns of words: ordered if the person, pandas or a well-known scale says so, else levels without an order."""

import math
import re
import shlex
from collections import Counter

import pandas as pd

from .. import checks
from . import cells, dates, spelling, words
from .column import Column
from .evidence import Counts, Evidence, commonest_first, texts_of
from .pairs import PAIR

_FEW = 10  # texts that never repeat are taken for names only if there are this many of them
_TITRE = re.compile(r"1\s?:\s?\d+")
_GENOTYPE = re.compile(r"([a-zA-Z])\1", re.IGNORECASE)  # AA, Aa and aa differ
_CODE = re.compile(r"0\d")
# a number and more than a word, such as 5±1, 5 (3-7), 1y 6m or '5, but neither 3rd floor nor 1A2
_MORE = re.compile(r"'\d.*|\W{0,2}\d++(?:[.,]\d++)*+.*?(?:[^\w\s-]|\s\S*\d).*")
_NOTHING = {"none", "nil", "-", "无"}  # words for a missing cell that are a step of some scales


def ordered(name: str, steps: list[str], own: list[str]) -> Column:
    """Return how to read a column whose levels the person orders; other words are missing."""
    different = {words.fold(step) for step in steps}
    got = f"{' < '.join(steps)} for {name!r}"
    checks.expect(len(different) == len(steps) > 1, "order", got, "two or more different words, written a<b<c")
    return Column(name, "ordered", {step: i for i, step in enumerate(steps)}, missing=own)


def some_order(evidence: Evidence) -> list[str]:
    """Return the levels of a column that the person calls ordered: in a known order, or by the numbers inside them."""
    levels = texts_of(evidence.rest)
    return words.scale(levels) or sorted(levels, key=words.natural)


def known_scale(evidence: Evidence) -> Column | None:
    """Return how to read well-known steps such as none, mild, severe; other words for a missing cell are missing."""
    nothing = {cell for cell in evidence.missing if words.fold(cell) in _NOTHING}
    for texts in (texts_of(evidence.counts), texts_of([*evidence.rest, *nothing]), texts_of(evidence.rest)):
        steps = words.scale(texts)
        if steps is None:
            continue
        places = list(dict.fromkeys(map(words.fold, steps)))
        spelled = {words.fold(text): text for text in reversed(commonest_first(evidence.counts, steps))}
        lost = sorted({words.fold(cell) for cell in evidence.missing} - set(places))
        codes = {spelled[place]: i for i, place in enumerate(places)}
        column = Column(evidence.name, "ordered", codes, missing=[*evidence.own, *lost])
        column.notes.append(evidence.said(f"read as steps in the order {' < '.join(column.levels)}."))
        return column
    return None


def categorical(evidence: Evidence, dtype: pd.CategoricalDtype) -> Column:
    """Return how to read a categorical column of pandas: in its own order if it has one."""
    seen = texts_of(evidence.counts)  # a category that no row has cannot be learned
    levels = [text for level in dtype.categories if (text := cells.as_text(cells.plain(level))) in seen]
    if dtype.ordered:
        return Column(evidence.name, "ordered", {level: i for i, level in enumerate(levels)}, missing=evidence.own)
    order = words.pair(levels) or words.scale(levels) or commonest_first(evidence.counts, levels)
    return Column(evidence.name, "category", {level: i for i, level in enumerate(order)}, missing=evidence.own)


def words_column(evidence: Evidence) -> Column:
    """Return how to read a column of texts that are neither numbers nor dates nor a known scale."""
    texts, rest = evidence.texts, evidence.rest
    if evidence.most([text for text in texts if PAIR.fullmatch(text)]):
        note = evidence.said(f"pairs of numbers such as {texts[0]!r} are left out; split them into two columns.")
        return Column(evidence.name, "absent", missing=evidence.own, notes=[note])
    if texts and len(texts) == len(rest) and all(map(_TITRE.fullmatch, texts)):
        column = ordered(evidence.name, sorted(texts, key=words.natural), evidence.own) if len(texts) > 1 else None
        if column:
            column.notes.append(evidence.said(f"read as steps in the order {' < '.join(column.levels)}."))
            return column
    if len(rest) == rest.total() >= _FEW:
        note = evidence.said("no text in it repeats (a name or an identifier?), so it is left out.")
        return Column(evidence.name, "absent", missing=evidence.own, notes=[note])
    column = category(evidence)
    column.notes += _doubts(evidence, len(column.codes))
    return column


def _doubts(evidence: Evidence, levels: int) -> list[str]:
    """Say that some cells of a category are numbers or dates, or that most cells differ."""
    numbers = [text for text in evidence.texts if (part := spelling.parts(text)) and not _CODE.match(part.digits)]
    numbers += [cell for cell in evidence.rest if not isinstance(cell, str)]
    days = [text for text in evidence.texts if not math.isnan(dates.days(text))]
    for kind, matches in (("number", numbers), ("date", days)):
        if evidence.share(matches) > 1 / 3:
            example, other = matches[0], next((cell for cell in evidence.rest if cell not in matches), None)
            reason = "units or decimal marks differ" if other is None else f"others, such as {other!r}, are not"
            option = shlex.quote(f"{evidence.name}={kind}")
            return [
                evidence.said(
                    f"{cells.as_text(example)!r} is a {kind}, but {reason}; read as a category. --type {option} reads "
                    "the others as missing."
                )
            ]
    numbered = [text for text in evidence.texts if _MORE.fullmatch(text)]
    if len(numbered) > 2 and evidence.most(numbered):
        said = f"cells such as {numbered[0]!r} begin with a number, but are read as a category; to use the numbers, "
        return [evidence.said(f"{said}write them alone.")]
    if levels > max(20, evidence.rest.total() / 2):
        return [evidence.said(f"{levels} different texts in {evidence.rest.total()} cells (names or identifiers?).")]
    return []


def category(evidence: Evidence) -> Column:
    """Return how to read levels without an order: the commonest first, because the alphabet is no order either.

    A word for a missing number is a category here, unless other columns of the table use it for a missing number.
    """
    plus = any(set(str(cell)) == {"+"} for cell in evidence.counts)
    lost = {sign for sign in evidence.signs if not (plus and sign == "-")}
    lost |= {word for word in evidence.missing if words.fold(word) in evidence.habits.missing - words.KEPT}
    there: Counts = Counter({cell: n for cell, n in evidence.counts.items() if cell not in lost})
    groups = _spellings(there)
    sizes: Counts = Counter(
        {group[0]: sum(n for c, n in there.items() if cells.as_text(c) in group) for group in groups}
    )
    levels = words.pair(sizes) or commonest_first(sizes, sizes)
    missing = [*evidence.own, *sorted({words.fold(word) for word in lost})]
    column = Column(evidence.name, "category", {level: i for i, level in enumerate(levels)}, missing=missing)
    merged = [" = ".join(map(repr, group)) for group in groups if len(group) > 1]
    if merged:
        column.notes.append(evidence.said(f"spellings of one word are read as one: {', '.join(merged)}."))
    return column


def _spellings(counts: Counts) -> list[list[str]]:
    """Return groups of texts that differ only in case and blanks, the commonest spelling first."""
    groups: dict[str, list[str]] = {}
    for text in commonest_first(counts, texts_of(counts)):
        key = text if _GENOTYPE.fullmatch(text) else words.fold(text)
        groups.setdefault(key, []).append(text)
    return list(groups.values())
