"""The page of `mapsto play` for everyone: contrast, names, headings, focus, keyboard, touch, narrow screens, motion.

One visit in headless Chromium, with real key strokes and touches, measures the page as it is rendered.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import browser
import pytest

from mapsto.play import page

pytestmark = [
    pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.long,  # 15 s of CPU
]

MEASURE = """
const shown = part => part.checkVisibility({visibilityProperty: true}) && part.getBoundingClientRect().width > 0;
const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const painted = new Map();
function rgba(colour) {
  if (!painted.has(colour)) {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    painted.set(colour, [r, g, b, a / 255]);
  }
  return painted.get(colour);
}
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
const light = colour => colour.map(c => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
function ground(part) {
  const above = [];
  for (let at = part; at; at = at.parentElement) above.push(rgba(getComputedStyle(at).backgroundColor));
  return above.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
}
function contrast(part) {
  const below = ground(part), text = over(rgba(getComputedStyle(part)[part.closest("svg") ? "fill" : "color"]), below);
  const [low, high] = [light(text), light(below)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
const named = part => part.getAttribute("aria-label") || part.textContent.trim()
  || [...(part.labels ?? [])].some(label => label.textContent.trim()) || "";
const short = part => part.outerHTML.replace(/\\s+/g, " ").slice(0, 110);
const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter(shown);
const texts = [...document.querySelectorAll("body *")].filter(part => !part.closest("script, style") && shown(part)
  && [...part.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
"""
STATE = (
    MEASURE
    + """
const size = part => (part.closest("label.file") ?? part).getBoundingClientRect();
return {
  faint: texts.filter(part => !part.closest(":disabled, .off") && contrast(part) < 4.5)
    .map(part => [contrast(part), short(part)]),
  texts: texts.length,
  unnamed: controls.filter(part => !named(part)).map(short),
  small: controls.filter(part => Math.min(size(part).width, size(part).height) < 24).map(short),
  wide: document.documentElement.scrollWidth - innerWidth,
  headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(part => Number(part.tagName[1])),
  ids: [...document.querySelectorAll("[id]")].map(part => part.id),
};"""
)
FOCUSED = (
    MEASURE
    + """
const part = document.activeElement, box = part.getBoundingClientRect();
const inside = part.closest("section, header, footer");
const down = scrollY + (part.closest("#rows")?.scrollTop ?? 0); // the rows of the table scroll on their own
const {outlineStyle, outlineWidth} = getComputedStyle(part.closest("label.file") ?? part);
return part === document.body ? null : {
  name: short(part), place: inside.id || inside.tagName, outline: outlineStyle !== "none" && parseFloat(outlineWidth),
  top: box.top + down, bottom: box.bottom + down, left: box.left,
};"""
)


class Visit:
    """A page that is asked, resized, touched and typed into."""

    def __init__(self, tab: browser.Tab):
        self.tab = tab

    def look(self, width: int, scheme: str, motion: str = "no-preference") -> dict[str, Any]:
        """Return the measures of the page on a screen of this width."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.tab.call("Emulation.setEmulatedMedia", features=features)
        self.tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.tab.evaluate("await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self.tab.evaluate(STATE)

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.tab.call(
                    "Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "",
                    windowsVirtualKeyCode=codes[key],
                )  # fmt: skip

    def touch(self, selector: str, *points: tuple[float, float]) -> None:
        """Draw with a finger through points of an element, as fractions of its sides; a single point is tapped."""
        part = f"document.querySelector({selector!r})"
        self.tab.evaluate(f"{part}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.tab.evaluate(f"return {part}.getBoundingClientRect().toJSON()")
        places = [{"x": box["x"] + u * box["width"], "y": box["y"] + v * box["height"]} for u, v in points]
        if len(places) == 1:  # by Chromium's own clock: on a busy machine, ours would make it a long press
            self.tab.call("Input.synthesizeTapGesture", **places[0], gestureSourceType="touch")
            return
        for i, place in enumerate(places):
            self.tab.call("Input.dispatchTouchEvent", type="touchMove" if i else "touchStart", touchPoints=[place])
        self.tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def click(self, selector: str, state: str) -> bool:
        """Tap a control until this changes the state; on a busy machine, a tap may pass for a long press."""
        before = self.tab.evaluate(f"return {state}")
        for _ in range(5):
            self.touch(selector, (0.5, 0.5), (0.5, 0.5))
            wait = "await Promise.all([mapsto.table.ask(), mapsto.characters.ask()])"
            if self.tab.evaluate(f"{wait}; return {state}") != before:
                return True
        return False


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    path = tmp_path_factory.mktemp("play") / "page.html"
    page.write(path)
    with browser.opened(path, "--window-size=1280,900", "--lang=en", "--hide-scrollbars") as tab:
        tab.evaluate("await mapsto.ready")
        yield Visit(tab)


@pytest.fixture(scope="module")
def looks(visit: Visit) -> dict[str, dict[str, Any]]:
    """Return the measures of the page before and after use, on screens of several widths, light and dark."""
    before = {f"{width} {scheme}": visit.look(width, scheme) for width, scheme in ((400, "light"), (1280, "dark"))}
    visit.tab.evaluate("await mapsto.characters.drawForMe(); document.querySelector('#five').click()")
    visit.tab.evaluate("document.querySelector('.cell .eye').click(); await mapsto.table.ask(); mapsto.waves.go(10)")
    sizes = [(width, scheme) for width in (400, 800, 1600) for scheme in ("light", "dark")]
    after = {f"{width} {scheme} used": visit.look(width, scheme) for width, scheme in sizes}
    visit.tab.evaluate("document.querySelector('#language').click()")
    chinese = {f"{width} light zh": visit.look(width, "light") for width in (400, 1280)}
    visit.tab.evaluate("document.querySelector('#language').click()")
    return before | after | chinese


def test_every_text_stands_out_from_its_ground(looks: dict[str, dict[str, Any]]) -> None:
    assert all(look["texts"] > 80 for look in looks.values())
    assert {place: look["faint"] for place, look in looks.items() if look["faint"]} == {}


def test_every_control_has_a_name_and_room_for_a_finger(looks: dict[str, dict[str, Any]]) -> None:
    assert {place: look["unnamed"] for place, look in looks.items() if look["unnamed"]} == {}
    assert {place: look["small"] for place, look in looks.items() if look["small"]} == {}


def test_nothing_is_wider_than_the_screen(looks: dict[str, dict[str, Any]]) -> None:
    assert {place: look["wide"] for place, look in looks.items() if look["wide"] > 0} == {}


def test_headings_are_in_order_and_names_of_parts_differ(looks: dict[str, dict[str, Any]]) -> None:
    look = looks["400 light"]
    assert look["headings"] == [1, 2, 2, 2]
    assert len(look["ids"]) == len(set(look["ids"]))


def test_the_focus_is_seen_and_goes_down_the_page(visit: Visit) -> None:
    visit.look(1280, "light")
    visit.tab.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    stops = []
    for _ in range(200):
        visit.press("Tab")
        stop = visit.tab.evaluate(FOCUSED)
        if stop is None or (stops and stop["name"] == stops[0]["name"]):
            break
        stops.append(stop)
    assert [stop["name"] for stop in stops if not stop["outline"]] == []
    places = [stop["place"] for stop in stops]
    assert sorted(set(places), key=places.index) == ["HEADER", "characters", "table", "waves", "FOOTER"]
    for place in ("characters", "table", "waves"):
        own = [stop for stop in stops if stop["place"] == place]
        assert len(own) > 5
        up = [(a, b) for a, b in itertools.pairwise(own) if b["bottom"] <= a["top"] and b["left"] <= a["left"]]
        assert up == []  # neither above nor to the left of the one before


def test_the_keyboard_alone_teaches_draws_hides_and_adapts(visit: Visit) -> None:
    ask = visit.tab.evaluate
    ask("document.querySelector('#clear').click(); await mapsto.characters.ask()")
    ask("document.querySelector('#draw').focus()")
    visit.press("Enter")
    assert ask("await mapsto.characters.ask(); return mapsto.characters.state.result.probabilities.length") == 5
    ask("document.querySelector('#sixth .erase').focus()")
    visit.press("Enter")
    ask("await mapsto.characters.ask(); document.querySelector('#sixth canvas').focus()")
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown", " "):
        visit.press(key)
    assert ask("return mapsto.characters.raster(5).reduce((a, b) => a + b)") > 3
    ask("document.querySelector('.cell .eye').focus()")
    shown = ask("return mapsto.table.state.shown")
    visit.press(" ")
    assert ask("await mapsto.table.ask(); return mapsto.table.state.shown") != shown
    assert ask("return document.activeElement.matches('.eye')")  # the focus stays
    ask("document.querySelector('.cell input').focus()")
    visit.tab.call("Input.insertText", text="7")
    assert ask("await mapsto.table.ask(); return mapsto.table.state.cells.some(cell => String(cell).includes('7'))")
    ask("document.querySelector('#rows .delete').focus()")
    for there in (True, False):
        visit.press("Enter")
        assert ask("await mapsto.table.ask(); return mapsto.table.state.deleted.size") == there
        assert ask("return document.activeElement.matches('#rows .delete')")
    ask("document.querySelector('.teacher .leave').focus()")
    for there in (False, True):
        visit.press(" ")
        assert ask("await mapsto.characters.ask(); return mapsto.characters.state.kept[0]") is there
    ask("document.querySelector('#no_points').click(); document.querySelector('#plot svg').focus()")
    for _ in range(2):
        visit.press("ArrowRight", 3)
        visit.press("Enter")
    assert ask("return mapsto.waves.state.points.length") == 2


def test_a_finger_draws_and_reveals_points(visit: Visit) -> None:
    visit.look(400, "light")
    visit.tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    visit.tab.evaluate("await mapsto.characters.ask(); document.querySelector('#sixth .erase').click()")
    visit.tab.evaluate("document.querySelector('#no_points').click()")
    visit.touch("#sixth canvas", (0.2, 0.2), (0.5, 0.4), (0.8, 0.8))
    assert visit.tab.evaluate("return mapsto.characters.raster(5).reduce((a, b) => a + b)") > 20
    visit.touch("#plot svg", (0.3, 0.5))
    assert visit.tab.evaluate("return mapsto.waves.state.points.length") == 1
    for control, told in (
        ("#rows .delete", "mapsto.table.state.deleted.size"),
        (".cell .eye", "mapsto.table.state.shown.filter(seen => !seen).length"),
        (".teacher .leave", "mapsto.characters.state.kept.filter(kept => !kept).length"),
    ):
        assert visit.click(control, told)
    visit.tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_calm_motion_jumps_to_the_last_step(visit: Visit) -> None:
    visit.look(1280, "light", "reduce")
    visit.tab.evaluate("document.querySelector('#five').click()")
    assert visit.tab.evaluate("return mapsto.waves.state.step") == 10
    assert (
        visit.tab.evaluate("return getComputedStyle(document.querySelector('.class .track i')).transitionDuration")
        == "0s"
    )


def test_the_language_of_the_page_is_that_of_its_texts(visit: Visit) -> None:
    phrases = json.loads((page.ASSETS / "phrases.json").read_text("utf-8"))
    for lang, place in (("zh-Hans", 1), ("en", 0)):
        visit.tab.evaluate("document.querySelector('#language').click()")
        assert visit.tab.evaluate("return document.documentElement.lang") == lang
        assert (
            visit.tab.evaluate("return document.querySelector('h2').textContent") == phrases["characters_title"][place]
        )
