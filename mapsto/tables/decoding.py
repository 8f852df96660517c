"""The bytes of a text file as text: gzip, byte order marks, UTF-8, UTF-16, and guesses for older encodings.

A guess is said, because the file does not say its encoding.
"""

import gzip
import re
import zlib
from pathlib import Path

from ..errors import MapstoError

_MARKS = {  # how spreadsheets begin a text file; the longer mark first
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_CONTROLS = re.compile(b"[" + re.escape(bytes(set(range(32)) - set(b"\t\n\r\f\x1a"))) + b"]")
_HIGH = re.compile(rb"[\x80-\xff]+")
_NAMES = {"cp1252": "Western European (Windows-1252)", "gb18030": "Chinese (GBK)", "cp1251": "Cyrillic (Windows-1251)",
          "shift_jis": "Japanese (Shift JIS)"}  # fmt: skip


def content_of(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if they are gzipped.

    Raises:
        MapstoError: if the file is missing, a folder, empty, damaged or cannot be read.
    """
    if path.is_dir():
        raise MapstoError(f"file: {path} is a folder, expected a table in a text file such as patients.csv.")
    if not path.exists():
        raise MapstoError(f"file: {path} does not exist; check the path.")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MapstoError(f"file: {path} is a damaged gzip file ({error}); save or copy it again.") from error
    except OSError as error:
        raise MapstoError(f"file: {path} cannot be read ({error.strerror}); check its permissions.") from error
    if not content.strip():
        raise MapstoError(f"file: {path} is empty, expected a table with column names in its first line.")
    return content


def decode(path: Path, content: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and a sentence if its encoding was guessed.

    Raises:
        MapstoError: if the file is no text.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None) or _wide(content)
    if encoding is None or encoding == "utf-8-sig":
        _refuse_controls(path, content[:65536])
        encoding = encoding or "utf-8"
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding in ("utf-16", "utf-32", "utf-16-le", "utf-16-be"):
            raise MapstoError(f"file: {path} is damaged {encoding} text ({error.reason}); export it again.") from error
    guess = _guess(content)
    note = f"file: {path.name} is read as {_NAMES[guess]} text, a guess; save it as UTF-8 if letters look wrong."
    return content.decode(guess, errors="replace"), [note]


def _refuse_controls(path: Path, start: bytes) -> None:
    """Raise MapstoError if the start of a file holds control characters, and name them unless the file is binary."""
    first = _CONTROLS.search(start)
    if first is None:
        return
    share = len(_CONTROLS.findall(start)) / len(start)
    if share > (0.4 if _decodes(start[: start.rfind(b"\n") + 1] or start, "utf-8") else 0.01):
        raise MapstoError(f"file: {path} is a binary file, expected a text table; export it as CSV (UTF-8) first.")
    line = start.count(b"\n", 0, first.start()) + 1
    raise MapstoError(
        f"file: {path} is a text with control characters (the first, 0x{first[0].hex()}, is in line {line}), expected "
        "a text without them; if they separate the columns, export it with commas, and else remove them."
    )


def _wide(content: bytes) -> str | None:
    """Return the name of UTF-16 without a byte order mark: every second byte of most text is zero."""
    start = content[:4096]
    if len(start) < 8 or len(content) % 2:
        return None
    even, odd = start[::2].count(0) / len(start[::2]), start[1::2].count(0) / len(start[1::2])
    if even < 0.05 and odd > 0.7:
        return "utf-16-le"
    return "utf-16-be" if odd < 0.05 and even > 0.7 else None


def _guess(content: bytes) -> str:
    """Guess an older encoding from its runs of bytes above 127.

    In Chinese text (GBK) nearly all runs are even, and most signs are common ones, whose first byte is 0xB0 to 0xD7;
    in Western European text most runs are single letters; Cyrillic words are long runs of letters.
    """
    runs = [run[0] for run in _HIGH.finditer(content)]
    even = sum(len(run) % 2 == 0 for run in runs) / len(runs)
    leads = [byte for run in runs for byte in run[::2]]
    common = sum(0xB0 <= byte <= 0xD7 for byte in leads) / len(leads)
    if even > 0.9 and common > 0.6 and _decodes(content, "gb18030"):
        return "gb18030"
    if re.search(rb"[\x81-\x9f]", content) and _decodes(content, "shift_jis"):
        kana = sum("\u3040" <= letter <= "\u30ff" for letter in content.decode("shift_jis"))
        if kana > 0.1 * len(runs):
            return "shift_jis"
    letters = b"".join(runs)
    cyrillic = sum(byte >= 0xC0 for byte in letters) / len(letters)
    return "cp1251" if len(letters) > 2.5 * len(runs) and cyrillic > 0.9 else "cp1252"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
