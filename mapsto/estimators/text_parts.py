"""The parts of a text whose contributions an explanation states: its words or, if it is long, its sentences."""

from typing import Literal

from .. import checks
from ..texts.words import join, sentences, words

Unit = Literal["words", "sentences"]
LONG = 50  # words; a longer text is explained by its sentences
_SENTENCES = 4  # a text with fewer sentences is explained by its words
_MOST = 400  # parts of a text


def unit_of(text: str) -> Unit:
    """Return the kind of parts of a text if nothing else is said.

    >>> unit_of("My card is lost. What now?")
    'words'
    """
    return "sentences" if len(words(text)) > LONG and len(sentences(text)) >= _SENTENCES else "words"


def parts_of(text: str, unit: Unit) -> list[str]:
    """Return the words, or the sentences, of a text. If there are more than 400 sentences, neighbours are joined.

    Raises:
        MapstoError: if there are more than 400 words.
    """
    if unit == "words":
        parts = words(text)
        got, remedy = f"'words' for a text of {len(parts):,} words", "pass 'sentences'"
        checks.expect(len(parts) <= _MOST, "players", got, f"at most {_MOST} words", remedy)
        return parts
    parts = sentences(text)
    size = max(1, -(-len(parts) // _MOST))
    return [join(parts[i : i + size]) for i in range(0, len(parts), size)]
