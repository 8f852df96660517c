"""Words that people write in tables: for a missing cell, for steps of a scale, for yes and no."""

import re
import unicodedata
from collections.abc import Collection, Sequence

# never a value in any column; a spreadsheet's errors are written in capitals
SIGNS = {"?", "??", "???", ".", "..", "...", "-", "--", "---", "–", "—", "#n/a", "#na", "#div/0!", "#value!",
         "#ref!", "#name?", "#null!", "#num!", "#wert!", "#bezug!", "#zahl!", "#nv", "#valeur!", "#nombre!",
         "#nul!", "(null)", "(blank)", "(leer)", "(vide)", "<na>", "nat", "null", "\\n"}  # fmt: skip
SIGNS |= {"#" * width for width in range(3, 40)}  # what a spreadsheet shows if a column is too narrow

# missing among numbers and dates; among texts, one of them can be a category
WORDS = {"*", "na", "n/a", "n.a.", "n.a", "nan", "none", "unknown", "unk", "missing", "not available", "not applicable",
         "not done", "not known", "not recorded", "not measured", "nd", "n.d.", "n.d", "n/d", "nil", "void", "pending",
         "tbd", "no data", "no value", "k.a.", "k.a", "ka", "k. a.", "keine angabe", "unbekannt", "unklar", "fehlt",
         "fehlend", "entfällt", "n.b.", "n. b.", "n. d.", "n.v.", "n.e.", "nicht bestimmt", "nicht bekannt",
         "nicht verfügbar", "nicht erhoben", "inconnu", "manquant", "desconocido", "sconosciuto", "onbekend",
         "未知", "不详", "无", "缺失"}  # fmt: skip

# words that say "there is none", or that nobody knows: a category of their own, whatever other columns mean by them
KEPT = {"none", "nil", "unknown", "unbekannt", "unklar", "not applicable", "not done", "pending", "无", "未知"}

_SCALES = """
none < minimal < mild < moderate < severe < very severe < critical < extreme
no < mild < moderate < severe
none < slight < moderate < strong < severe
absent < trace < mild < moderate < severe
none < low < medium < high
none < light < moderate < heavy
light < moderate < heavy
very low < low < medium < high < very high
very low < low < moderate < high < very high
very low < low < normal < high < very high
low < intermediate < high
low < average < high
very low < low < mid < high < very high
decreased < normal < increased
underweight < normal < overweight < obese
small < medium < large
tiny < small < medium < large < huge
xs < s < m < l < xl < xxl
never < rarely < occasionally < sometimes < often < usually < always
never < seldom < sometimes < often < always
never < monthly < weekly < daily
strongly disagree < disagree < somewhat disagree < neutral < somewhat agree < agree < strongly agree
strongly disagree < disagree < neither agree nor disagree < agree < strongly agree
very dissatisfied < dissatisfied < neutral < satisfied < very satisfied
very dissatisfied < somewhat dissatisfied < neutral < somewhat satisfied < very satisfied
very poor < poor < fair < good < very good < excellent
poor < average < good
bad < fair < good
worse < same < better
mild < moderate < severe < fatal
not at all < a little < moderately < quite a bit < extremely
first < second < third < fourth
primary < secondary < tertiary
keine < gering < mittel < hoch
keine < leicht < mittel < schwer
kein < leicht < mittel < schwer
kein < leicht < mäßig < schwer
keine < leicht < mäßig < schwer
keine < mild < moderat < schwer
leicht < mittelschwer < schwer
sehr niedrig < niedrig < mittel < hoch < sehr hoch
niedrig < normal < hoch
klein < mittel < groß
nie < selten < manchmal < oft < immer
nie < selten < gelegentlich < häufig < immer
schlecht < mittel < gut < sehr gut
trifft nicht zu < trifft eher nicht zu < teils/teils < trifft eher zu < trifft zu
trifft gar nicht zu < trifft eher nicht zu < teils/teils < trifft eher zu < trifft voll zu
stimme gar nicht zu < stimme nicht zu < neutral < stimme zu < stimme voll zu
léger < modéré < sévère
aucun < léger < modéré < sévère
aucune < légère < modérée < sévère
jamais < rarement < parfois < souvent < toujours
faible < moyen < élevé
leve < moderado < grave
bajo < medio < alto
无 < 轻度 < 中度 < 重度
低 < 中 < 高
- < (+) < + < ++ < +++ < ++++
negative < trace < + < ++ < +++ < ++++
neg < trace < 1+ < 2+ < 3+ < 4+
negative < trace < 1+ < 2+ < 3+ < 4+
- < +/- < 1+ < 2+ < 3+ < 4+
jan < feb < mar < apr < may < jun < jul < aug < sep < oct < nov < dec
january < february < march < april < may < june < july < august < september < october < november < december
"""
SCALES = [[step.strip() for step in line.split(" < ")] for line in _SCALES.strip().splitlines()]

PAIRS = [("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("nein", "ja"), ("n", "j"), ("non", "oui"),
         ("no", "sí"), ("no", "si"), ("negative", "positive"), ("neg", "pos"), ("negativ", "positiv"), ("-", "+"),
         ("absent", "present"), ("control", "case"), ("alive", "dead"), ("否", "是"), ("阴性", "阳性"),
         ("low", "high"), ("normal", "abnormal")]  # fmt: skip

POSITIVE = {"yes", "y", "1", "true", "t", "ja", "j", "oui", "si", "sí", "dead", "died", "death", "deceased", "tot",
            "verstorben", "gestorben", "case", "positive", "pos", "positiv", "present", "ill", "sick", "krank",
            "diseased", "event", "malignant", "abnormal", "是", "阳性", "死亡", "+"}  # fmt: skip

_NO_DATE = re.compile(r"0{4}[-/.]00[-/.]00(?:[ T]00:00:00)?|00[-/.]00[-/.]0{4}")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7}
_GRADED = r"(?:grade|stage|grad|stadium|stufe|level|class|klasse|nyha|asa|killip|ecog|ckd|ccs|who|g|t|n|tnm)"
_STEP = re.compile(rf"({_GRADED})[ .\-]*(\d|i{{1,3}}|iv|vi{{0,2}})([abc]?)")
_DIGITS = r"(-?\d+(?:[.,]\d+)?)"
_END = r"(?: ?\w{1,6})?"  # a unit
_RANGE = re.compile(
    rf"[\[(]\s*{_DIGITS}\s*[,;]\s*{_DIGITS}\s*[\])]|[\[(]?{_DIGITS}\s*(?:-|–|—|to|bis|\.\.)\s*{_DIGITS}[\])]?{_END}"
)
_BARE = re.compile(r"\d+(?:[.,]\d+)?")
_NUMBERED = re.compile(r"(\d{1,2})\s*[-=:.)–]\s*[^\W\d].*")
_OPEN = re.compile(
    rf"(?:(<|<=|≤|under|unter|below|bis)\s*{_DIGITS}|(>|>=|≥|over|über|ab|above)\s*{_DIGITS}|(\d+)\s*\+){_END}"
)


def fold(text: str) -> str:
    """Return a text without differences of case, of blanks, and of how an accent is stored.

    >>> fold(" Strongly  AGREE ")
    'strongly agree'
    """
    return unicodedata.normalize("NFC", " ".join(text.split()).casefold())


def is_missing(text: str) -> bool:
    """Return whether a text stands for a missing number or date.

    >>> is_missing("k.A."), is_missing("######"), is_missing("0000-00-00"), is_missing("0")
    (True, True, True, False)
    """
    if text[:1].isdigit():
        return _NO_DATE.fullmatch(text) is not None
    folded = fold(text)
    return not folded or folded in SIGNS or folded in WORDS


def scale(texts: Collection[str]) -> list[str] | None:
    """Return the texts in their order if they are well-known steps of one scale, ranges or grades; None otherwise.

    >>> scale({"severe", "mild", "None"}), scale({"II", "I", "IV"}), scale({"18-30", "31-50", ">50"}), scale({"B", "A"})
    (['None', 'mild', 'severe'], ['I', 'II', 'IV'], ['18-30', '31-50', '>50'], None)
    """
    folded = {text: fold(text) for text in texts}
    different = set(folded.values())
    if len(different) < 2:
        return None
    for steps in SCALES:
        if different <= set(steps):
            return sorted(texts, key=lambda text: (steps.index(folded[text]), text))
    for place in (_grades, _ranges, _numbered):
        places = place(different)
        if places is not None:
            return sorted(texts, key=lambda text: (places[folded[text]], text))
    return None


def pair(texts: Collection[str]) -> list[str] | None:
    """Return two texts in their order if they are a well-known pair such as no and yes; None otherwise."""
    folded = {fold(text): text for text in texts}
    for no, yes in PAIRS:
        if set(folded) == {no, yes}:
            return [folded[no], folded[yes]]
    return None


def natural(text: str) -> tuple[list[tuple[int, float, str]], str]:
    """Return a key that sorts numbers inside texts by their size: ward 9 before ward 10."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in parts], text


def _grades(folded: set[str]) -> dict[str, tuple[float, ...]] | None:
    """Return the place of each grade: I, II, IIIa, or NYHA 2, stage IV, T1."""
    if folded <= set(_ROMAN):
        return {text: (float(_ROMAN[text]),) for text in folded}
    matches = _matches(_STEP, folded)
    if matches is None or len({match[1] for match in matches.values()}) > 1:
        return None
    return {t: (float(_ROMAN.get(m[2]) or m[2]), float(ord(m[3])) if m[3] else 0.0) for t, m in matches.items()}


def _ranges(folded: set[str]) -> dict[str, tuple[float, ...]] | None:
    """Return the lower and upper end of each range: 18-30, [0, 5), <18, 80+."""
    places: dict[str, tuple[float, ...]] = {}
    for text in folded:
        ends = _ends(text)
        if ends is None:
            return None
        places[text] = ends
    closed = sum(_RANGE.fullmatch(text) is not None for text in folded)
    bare = sum(_BARE.fullmatch(text) is not None for text in folded)
    return None if closed <= bare else places


def _numbered(folded: set[str]) -> dict[str, tuple[float, ...]] | None:
    """Return the place of each step that begins with its number, such as 1 - disagree, 2 - agree."""
    matches = _matches(_NUMBERED, folded)
    places: dict[str, tuple[float, ...]] = {text: (float(match[1]),) for text, match in (matches or {}).items()}
    return places if len(places) == len(folded) == len(set(places.values())) else None


def _matches(pattern: re.Pattern[str], texts: set[str]) -> dict[str, re.Match[str]] | None:
    """Return the match of each text, None as soon as one has none; columns may have thousands of texts."""
    matches = {}
    for text in texts:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        matches[text] = match
    return matches


def _ends(text: str) -> tuple[float, float] | None:
    def number(digits: str) -> float:
        return float(digits.replace(",", "."))

    if match := _RANGE.fullmatch(text):
        low, high = (number(digits) for digits in match.groups() if digits)
        if re.match(r"0\d", text):  # a telephone number or another code
            return None
        return (low, high) if low <= high else None
    if match := _OPEN.fullmatch(text):
        return (float("-inf"), number(match[2])) if match[1] else (number(match[4] or match[5]), float("inf"))
    return (number(text), number(text)) if _BARE.fullmatch(text) else None


def folded(words: Sequence[str]) -> set[str]:
    """Return the words that a person calls missing, without differences of case and blanks."""
    return {fold(str(word)) for word in words}
