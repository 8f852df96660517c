"""Split a text into words and sentences, so that parts can be left out and the rest is still a text.

For any selection of words, `words(join(selection)) == selection`. Words are the pieces between spaces, with the
punctuation at their ends. In scripts without spaces (Chinese, Japanese, Thai, ...), each character is a word.
"""

import re
from collections.abc import Sequence

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = (
    rf"(?=\w)[{_UNSPACED}]"  # of a script without spaces; signs such as vowels and tones belong to the letter before
)
_WORD = re.compile(rf"{_LETTER}[^\w\s]*|(?:(?!{_LETTER})\S)+")
_STARTS_UNSPACED = re.compile(_LETTER)
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*|[。！？]+[」』”]*|:)$")
_SHORTENED = re.compile(
    r"^(?:\W*(?:[A-Za-z]|mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|no|nr|approx|inc|ltd)\.)$", re.IGNORECASE
)
LONGEST = 40  # words; a sentence without an end is cut here
_LINE = re.compile(r"\n+|\r+|\u2029")


def words(text: str) -> list[str]:
    """Return the words of a text, each with the punctuation that touches it.

    >>> words("Hello, world!  It's 5 p.m. 😀")
    ['Hello,', 'world!', "It's", '5', 'p.m.', '😀']
    >>> words("你好，world")
    ['你', '好，', 'world']
    """
    return _WORD.findall(text)


def join(parts: Sequence[str]) -> str:
    """Return the text of some words or sentences, in which `words` finds exactly these words again.

    >>> join(["Hello,", "world!"]), join(["你", "好"])
    ('Hello, world!', '你好')
    """
    spaced = [
        f" {part}" if i and not (_STARTS_UNSPACED.match(part) and _STARTS_UNSPACED.match(parts[i - 1])) else part
        for i, part in enumerate(parts)
    ]
    return "".join(spaced)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, each with all its words; a sentence of more than 40 words is cut after 40.

    A sentence ends at the end of a line, or at a word that ends with `.`, `!`, `?` or `:`, unless it is an initial or
    an abbreviation such as `Dr.`.

    >>> sentences("Dear Dr. Who, my card is lost. Please help!")
    ['Dear Dr. Who, my card is lost.', 'Please help!']
    """
    done: list[str] = []
    for line in _LINE.split(text):
        sentence: list[str] = []
        for word in words(line):
            sentence.append(word)
            if len(sentence) == LONGEST or (_END.search(word) and not _SHORTENED.match(word)):
                done.append(join(sentence))
                sentence = []
        if sentence:
            done.append(join(sentence))
    return done
