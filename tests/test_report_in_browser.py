"""The report of a run as a browser shows it: nothing empty, overlapping or too wide, and a slider that works.

The page is opened in headless Chromium, with a script appended that measures it and whose hash joins the page's policy.
Every law is held against a page that breaks it.
"""

import base64
import hashlib
import json
import re
from html import unescape
from pathlib import Path

import browser
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

import mapsto as mt
from mapsto.episodes import Episode, examples
from mapsto.learners import MAML, PrototypicalNetwork
from mapsto.models import MLP
from mapsto.reports.film import POLICY
from mapsto.reports.run import write_run_report
from mapsto.reports.task.build import task_answer

pytestmark = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="no Chromium or Chrome is installed: no report is looked at"
)
WIDTHS = (1280, 400)

MEASURE = """
const width = %d, found = {width: innerWidth, steps: [], over: [], empty: []};
const visible = box => box.width > 0 && box.height > 0;
const cut = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
function inked(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white"; pen.fillRect(0, 0, canvas.width, canvas.height); pen.drawImage(image, 0, 0);
  const dots = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let ink = 0;
  for (let i = 0; i < dots.length; i += 4) ink += dots[i] < 215 || dots[i + 1] < 215 || dots[i + 2] < 215;
  return ink / (canvas.width * canvas.height);
}
function measured() {
  const parts = [...document.querySelectorAll("h1, h2, h3, figure img, figcaption, p, table, li, dt, dd, pre")]
    .filter(part => !part.closest("[hidden]") && !part.closest(".controls"))
    .filter(part => visible(part.getBoundingClientRect()));
  parts.forEach((part, i) => parts.slice(i + 1).forEach(other => {
    if (!part.contains(other) && cut(part.getBoundingClientRect(), other.getBoundingClientRect()))
      found.over.push([part.outerHTML.slice(0, 60), other.outerHTML.slice(0, 60)]);
  }));
  found.needs = document.documentElement.scrollWidth;
  found.wide = parts.filter(part => !part.closest(".scroll, pre"))
    .filter(part => part.getBoundingClientRect().right > width + 1).length;
  found.small = [...document.images].filter(image => visible(image.getBoundingClientRect()))
    .filter(image => image.getBoundingClientRect().width < 280).length;
  found.headings = [...document.querySelectorAll("h2")].map(heading => heading.textContent);
  found.bottom = document.documentElement.scrollHeight;
}
function slide() {
  const slider = document.querySelector("[data-film] input");
  if (!slider) return;
  for (let i = 0; i <= Number(slider.max); i++) {
    slider.value = i; slider.dispatchEvent(new Event("input"));
    const shown = [...document.querySelectorAll(".frame")].map(frame => !frame.hidden);
    found.steps.push({shown, said: document.querySelector("[data-film] output").textContent});
  }
}
Promise.all([...document.images].map(image => image.decode())).then(() => {
  slide(); measured();
  found.ink = [...document.images].map(inked);
  const told = document.createElement("pre");
  told.id = "probe"; told.textContent = JSON.stringify(found);
  document.body.append(told);
});
"""


def flags(width: int, height: int) -> list[str]:
    return ["--hide-scrollbars", f"--window-size={max(width, 500)},{height}"]


def probed(text: str, width: int) -> str:
    """Append the script that measures, and let it run beside the page's own; both in a frame of that width."""
    script = MEASURE % width
    digest = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    allowed = policy.replace(POLICY, f"{POLICY} {digest}") if POLICY in policy else f"{policy}; script-src {digest}"
    return text.replace(policy, allowed).replace("</body>", f"<script>{script}</script></body>")


def opened(folder: Path, text: str, width: int) -> dict:
    """Return what the browser finds on the page at that width: its own window is never narrower than 500 pixels."""
    (folder / "inner.html").write_text(probed(text, width))
    outer = f'<body style="margin:0"><iframe src="inner.html" style="width:{width}px;height:900px;border:0"></iframe>'
    reader = "<script>onload = () => setTimeout(() => document.body.append(document.querySelector('iframe')\
.contentDocument.querySelector('#probe').cloneNode(true)), 8000)</script>"
    (folder / "outer.html").write_text(f"<!doctype html>{outer}{reader}")
    done = browser.run(folder / "outer.html", *flags(width, 900), "--allow-file-access-from-files", "--dump-dom")
    probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert probe, done.stderr[-2000:]
    return json.loads(unescape(probe[1]))


def photographed(folder: Path, text: str, width: int, height: int) -> np.ndarray:
    """Return a screenshot `[height, width, 3]`, numbers from 0 to 1."""
    (folder / "page.html").write_text(text)
    shot = folder / "page.png"
    browser.run(folder / "page.html", *flags(width, height), f"--screenshot={shot}").check_returncode()
    return imread(shot)[..., :3]


def laid_out_law(found: dict, width: int) -> None:
    """Nothing lies over another, nothing is wider than the page, and every picture shows something."""
    assert found["width"] == width
    assert found["over"] == []
    assert found["needs"] <= width and found["wide"] == 0 and found["small"] == 0
    assert len(found["ink"]) >= 5 and min(found["ink"]) > 0.01 and max(found["ink"]) < 0.8
    assert len(found["headings"]) == 11


def filled_law(shot: np.ndarray) -> None:
    """There is ink all the way down: neither all of the page nor a long part of it is empty."""
    ink = (shot.min(-1) < 0.85).mean(1)  # [height]
    bands = [part.mean() for part in np.array_split(ink, len(ink) // 400)]
    assert 0.02 < ink.mean() < 0.6
    assert min(bands[:-1]) > 0.002


class Fixed(mt.tasks.Tasks):
    """One task of eight images."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        rows = examples(x, torch.arange(8) % 2)
        return mt.episodes.stack([Episode(rows, rows)] * count)


def written(folder: Path, kind: str) -> str:
    torch.manual_seed(0)
    learner = {
        "images": PrototypicalNetwork(nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Tanh()), ways=2),
        "table": MAML(MLP(11, 8, 2), lr=0.5, steps=2),
        "wave": MAML(MLP(1, 8, 1), loss="mse", lr=0.1, steps=3),
    }[kind]
    tasks = {"images": Fixed(), "table": mt.tasks.Planted(shots=9, queries=4), "wave": mt.tasks.Sinusoids(shots=5)}[
        kind
    ]
    metrics = [{"step": i, "loss": 4 / i, "lr": 0.001 * i, "seconds": i} for i in range(1, 30)]
    task = task_answer(learner, tasks, 0, (), 0)
    path = write_run_report(
        folder / f"{kind}.html", title=f"Training run: {kind}", metrics=metrics, config="steps: 29\n",
        evaluation={"accuracy": 0.9}, files=[("config.yaml", 10)], task=task,
    )  # fmt: skip
    return path.read_text()


@pytest.fixture(scope="module")
def pages(two_neighbours: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {kind: written(folder, kind) for kind in ("images", "table", "wave")}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["images", "table", "wave"])
def test_nothing_overlaps_is_empty_or_too_wide(tmp_path: Path, pages: dict[str, str], kind: str, width: int) -> None:
    found = opened(tmp_path, pages[kind], width)
    laid_out_law(found, width)
    steps = found["steps"]
    assert len(steps) == {"images": 0, "table": 3, "wave": 4}[kind]
    for i, step in enumerate(steps):
        assert step["shown"] == [j == i for j in range(len(steps))]
        assert step["said"].startswith(f"Step {i} of {len(steps) - 1}: support loss ")


def test_the_whole_page_is_filled(tmp_path: Path, pages: dict[str, str]) -> None:
    filled_law(photographed(tmp_path, pages["table"], 1280, 5200))


MUTANTS = {
    "overlapping": lambda text: text.replace("</style>", "#taught h2 { margin-bottom: -90px; }</style>"),
    "wide": lambda text: text.replace("</style>", "#trust p { width: 1500px; max-width: none; }</style>"),
    "empty": lambda text: re.sub(r'src="data:image/svg\+xml;base64,[^"]*"', f'src="{BLANK}"', text),
}
BLANK = (
    "data:image/svg+xml;base64,"
    + base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="100"/>').decode()
)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_page_that_is_laid_out_wrong_is_found_out(tmp_path: Path, pages: dict[str, str], name: str) -> None:
    mutant = MUTANTS[name](pages["wave"])
    assert mutant != pages["wave"]
    with pytest.raises(AssertionError):
        laid_out_law(opened(tmp_path, mutant, 1280), 1280)


@pytest.mark.parametrize("emptied", [r"<main>.*</main>", r'<section id="reasons">.*<section id="words">'])
def test_a_page_that_lost_its_parts_is_found_out(tmp_path: Path, pages: dict[str, str], emptied: str) -> None:
    mutant = re.sub(emptied, "", pages["table"], flags=re.DOTALL)
    assert len(mutant) < len(pages["table"]) / 2
    with pytest.raises(AssertionError):
        filled_law(photographed(tmp_path, mutant, 1280, 5200))


def test_a_stuck_slider_is_found_out(tmp_path: Path, pages: dict[str, str]) -> None:
    stuck = pages["wave"].replace("i !== Number(slider.value)", "i !== 0")  # whose hash the policy does not know
    shown = [step["shown"] for step in opened(tmp_path, stuck, 1280)["steps"]]
    assert shown != [[j == i for j in range(4)] for i in range(4)]


def test_without_scripts_the_first_frame_and_no_slider_are_seen(tmp_path: Path, pages: dict[str, str]) -> None:
    silent = pages["wave"].replace(POLICY, "'none'")
    frames = re.findall(r'<div class="frame grid" data-label="[^"]*"( hidden)?>', silent)
    assert [bool(hidden) for hidden in frames] == [False, True, True, True]
    assert '<p class="controls" hidden>' in silent and "<noscript>" in silent
