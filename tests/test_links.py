"""Pages hang together: each link leads to a file and to a heading of it, and each public name is in the reference."""

import importlib.util
import re
from pathlib import Path

import pytest

import mapsto

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for folder in ("", "docs", "benchmarks", "examples", "mapsto/weights")
    for page in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\[[^\]]*\]\((?!https://)([^)\s]+)\)|^:link: (?!https://)(\S+)$", re.M)
CODE = re.compile(r"^[ ]*```.*?^[ ]*```|`[^`\n]*`", re.S | re.M)


def headings(page: Path) -> set[str]:
    """Return the headings of a page as they stand in links."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"^[ ]*```.*?^[ ]*```", "", page.read_text(), flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def lost(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    links = [one or other for one, other in LINK.findall(CODE.sub("", page.read_text()))]
    places = [(link, page if link.startswith("#") else page.parent / link.partition("#")[0]) for link in links]
    return [
        link
        for link, there in places
        if not there.exists() or ("#" in link and link.partition("#")[2] not in headings(there))
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    assert lost(ROOT / page) == []


def test_a_lost_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One heading, of two: yes\n```\n# code\n```\n")
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](other.md#one-heading-of-two-yes) [b](#here) `[c](no.md)` [d](https://x.y/z)")
    assert lost(page) == []
    page.write_text("[a](other.md#code) [b](#there) [c](no.md)")
    assert lost(page) == ["other.md#code", "#there", "no.md"]


def test_every_public_name_is_in_the_reference(tmp_path: Path) -> None:
    place = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert place is not None and place.loader is not None
    reference = importlib.util.module_from_spec(place)
    place.loader.exec_module(reference)
    reference.write(tmp_path)
    written = {page.stem: page.read_text() for page in tmp_path.glob("*.rst")}
    for name in mapsto.__all__:
        room = getattr(mapsto, name)
        inner = [f"mapsto.{name}", *getattr(room, "__all__", [])] if hasattr(room, "__path__") else [name]
        page = written.get(f"mapsto.{name}", written["mapsto"])
        assert all(re.search(rf"\b{re.escape(part)}\b", page) for part in inner), name


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^(?:.* <)?([\w/]+)>?$", (ROOT / "docs" / "index.md").read_text(), re.M))
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= listed
