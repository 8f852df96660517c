"""The script of a text: Latin, Cyrillic, Han, ..., by the Unicode names of its letters; and its direction."""

import unicodedata
from collections import Counter
from collections.abc import Sequence

_NAMES = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}


def script(text: str) -> str:
    """Return the script of most letters of a text; "" if it has no letter.

    >>> script("Hello, мир!"), script("привет"), script("42 😀")
    ('Latin', 'Cyrillic', '')
    """
    names = Counter(unicodedata.name(letter, "?").split()[0] for letter in text[:2000] if letter.isalpha())
    if not names:
        return ""
    name = names.most_common(1)[0][0]
    return _NAMES.get(name, name.capitalize())


def isolated(text: str) -> str:
    """Return a text that may stand in a sentence of another direction: one with letters from right to left is isolated.

    >>> isolated("card"), isolated("כרטיס")
    ('card', '\\u2068כרטיס\\u2069')
    """
    from_right = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return f"\u2068{text}\u2069" if from_right else text


def other_scripts(texts: Sequence[str], which: str) -> list[str]:
    """Return a note about the texts that are not in Latin letters; `which` names the texts.

    >>> other_scripts(["привет"], "training text")[0][:61]
    'texts: 1 training text is not in Latin letters (Cyrillic). Th'
    """
    others = [name for name in map(script, texts) if name not in ("", "Latin")]
    if not others:
        return []
    count, listed = len(others), ", ".join(sorted(set(others)))
    are = f"{which} is" if count == 1 else f"{which}s are"
    return [
        f"texts: {count} {are} not in Latin letters ({listed}). The shipped encoder was trained on English "
        "sentences, so it compares the letters and not the meaning of these texts."
    ]
