"""Signs and units of the pictures of a model's inside and of a training's course: numbers by hand, found as drawn."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from mapsto import figures
from mapsto.episodes import Examples
from mapsto.figures import film as pictures
from mapsto.figures.style import HIGHER, LOWER
from mapsto.figures.task_map import task_map
from mapsto.measures.evaluation.intervals import ends_of_share
from mapsto.measures.evaluation.similarity import TaskMap
from mapsto.reports import page
from mapsto.reports.course import course, curve
from mapsto.reports.film import label, overview
from mapsto.seeing.changes import Changes
from mapsto.seeing.embedding import Embedding
from mapsto.seeing.film import Film
from mapsto.seeing.histograms import Histograms
from mapsto.seeing.maximisation import Preferred
from mapsto.seeing.probes import Probes


def rows(x: object, y: object) -> Examples:
    return Examples(torch.tensor(x), torch.tensor(y), torch.ones(len(x)))


def film(**changed: object) -> Film:
    """Two frames of a model with two layers, asked about two rows of one feature."""
    points = rows([[0.0], [1.0]], [[0.5], [-2.0]])
    return Film(
        torch.tensor([3.0, 1.0]), torch.tensor([4.0, 2.0]), torch.tensor([[[0.0], [0.0]], [[0.25], [-1.0]]]),
        torch.tensor([[0.0, 0.0], [1.0, -2.0]]), 0.87, ("first", "second"), torch.tensor([[0.1, -0.2], [0.3, -0.4]]),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]), points, points, None, None, torch.zeros(1), None,
    )._replace(**changed)  # fmt: skip


def widths(axes: object) -> list[float]:
    return [round(bar.get_width(), 5) for bar in sorted(axes.patches, key=lambda bar: bar.get_y())]


# --- the film


def test_a_surface_of_numbers_and_its_rows_share_their_colours() -> None:
    grid = torch.cartesian_prod(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    points = rows([[0.0, 0.0], [1.0, 1.0]], [[0.5], [-2.0]])
    shown = film(grid=grid, surface=torch.tensor([[[1.0], [-1.0], [0.0], [3.0]]] * 2), support=points, query=points)
    axes = pictures.film_outputs(shown, 1).axes[0]
    image, dots = axes.images[0], axes.collections
    np.testing.assert_allclose(image.get_array(), [[1, 0], [-1, 3]])  # [second feature, first feature]
    assert image.norm.vmax == -image.norm.vmin == 3
    assert [to_hex(image.cmap(image.norm(v))) for v in (-3, 3)] == [LOWER, HIGHER]
    assert [part.get_array().tolist() for part in dots] == [[0.5, -2.0]] * 2


def test_answers_lie_over_their_targets() -> None:
    points = pictures.film_outputs(film(), 1).axes[0].lines[1]
    np.testing.assert_allclose(np.stack(points.get_data()), [[0.5, -2], [0.25, -1]])


def test_a_curve_is_drawn_through_rows_that_lie_where_they_are() -> None:
    shown = film(grid=torch.tensor([[0.0], [1.0]]), surface=torch.tensor([[[0.5], [-2.0]]] * 2))
    lines = {line.get_label(): np.stack(line.get_data()) for line in pictures.film_outputs(shown, 1).axes[0].lines}
    assert set(lines) == {"the model", "query set", "support set"}
    for points in lines.values():
        np.testing.assert_allclose(points, [[0, 1], [0.5, -2]])


def test_true_classes_that_lead_are_told_right() -> None:
    points = rows([[0.0], [1.0]], [0, 1])
    shown = film(predictions=torch.tensor([[[0.9, 0.1], [0.8, 0.2]]] * 2), query=points, support=points)
    handles, names = pictures.film_outputs(shown, 1).axes[0].get_legend_handles_labels()
    told = dict(zip(names, handles, strict=True))
    assert [round(told[name][0].get_width(), 5) for name in ("right", "wrong")] == [0.8, -0.6]
    assert [to_hex(told[name][0].get_facecolor()) for name in ("right", "wrong")] == [HIGHER, LOWER]


def test_layers_have_the_norms_and_rates_of_the_step() -> None:
    for i in (0, 1):
        norms, rates = pictures.film_layers(film(), i).axes
        assert widths(norms) == film().gradient_norm[i].tolist()
        assert widths(rates) == pytest.approx(film().rates[i].tolist())


def test_the_film_says_its_numbers() -> None:
    assert "with 87 % of the way's variance" in pictures.film_path(film(), 1).axes[0].get_xlabel()
    titles = [axes.get_title(loc="left") for axes in pictures.film_strip(film()).axes]
    assert titles == ["step 0, query loss 4", "step 1, query loss 2"]
    assert "teaches, went from 3 to 1, and on the query set, which judges, from 4 to 2" in overview(film())[0]
    assert label(film(), 1) == "Step 1 of 1: support loss 1, query loss 2"


# --- the inside


def test_probes_have_their_interval_and_chance_in_per_cent() -> None:
    axes = figures.draw(Probes(("a",), torch.tensor([[0.5, 0.8]]), 0.4, 50)).axes[0]
    for bars, share, name in zip(axes.containers, (0.5, 0.8), ("before", "after"), strict=True):
        ends = [float(end[0]) for end in ends_of_share(np.array([share]), np.array([50]))]
        np.testing.assert_allclose(bars.lines[2][0].get_segments()[0][:, 0], 100 * np.array(ends))
        assert bars.get_label() == f"{name}, with 95 % interval"
    assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == "commonest class"] == [40]


def test_changes_are_written_in_per_cent() -> None:
    shown = Changes(("a",), torch.tensor([[0.123]]), ("b",), torch.tensor([[2.5]]))
    assert [text.get_text() for axes in figures.draw(shown).axes for text in axes.texts] == ["12.3", "250"]


def test_an_embedding_says_its_trust_and_chance() -> None:
    points = torch.zeros(4, 2)
    shown = Embedding(points, points, torch.tensor([0, 1, 0, 1]), (0.75, 0.875), (0.2, 0.6), 0.33, 5)
    left, right = figures.draw(shown).axes
    assert left.get_title(loc="left") == "before\npurity 20 %\ntrustworthiness 0.75"
    assert right.get_title(loc="left") == "after\npurity 60 %\ntrustworthiness 0.88"
    assert left.get_xlabel() == "purity by chance: 33 %"


def test_entries_that_are_zero_are_told_in_per_cent() -> None:
    counts, zero = torch.tensor([[[3, 1]], [[2, 2]]]), torch.tensor([[0.2], [0.45]])
    shown = Histograms(("a",), torch.tensor([-4.0, -2.0, 0.0]), counts, zero, counts[:1], zero[:1])
    axes = figures.draw(shown).axes[0]
    assert axes.get_title(loc="left") == "layer a: 20 % are exactly 0, 45 % at the end"
    np.testing.assert_allclose(axes.patches[0].get_data().values, [60, 20])
    np.testing.assert_allclose(axes.patches[0].get_data().edges, [-4, -2, 0])


def test_a_unit_is_told_what_it_said_before_and_after() -> None:
    shown = Preferred(torch.tensor([1.0, -2.0]), torch.tensor(3.5), torch.tensor(-0.25), torch.zeros(1))
    drawn = figures.draw(shown)
    assert drawn._suptitle.get_text() == "The unit says 3.5; of the start it said -0.25."
    colours = [to_hex(bar.get_facecolor()) for bar in drawn.axes[0].patches]
    assert widths(drawn.axes[0]) == [1, -2] and colours == [HIGHER, LOWER]


def test_a_map_has_its_tasks_where_they_are() -> None:
    points = torch.tensor([[1.0, -2.0], [-3.0, 4.0]])
    axes = task_map(TaskMap(points, 0.64), [5.0, -6.0], "phase").axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
    assert axes.collections[0].get_array().tolist() == [5, -6] and "64 % of the differences" in axes.get_xlabel()


# --- the course of a training


def test_a_curve_is_drawn_and_said_as_it_was_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(page, "picture", lambda figure, alt: drawn.append(figure) or alt)
    metrics = [{"step": 10 * i, "loss": loss} for i, loss in enumerate((-1.0, 0.5, 2.0), start=1)]
    assert curve(metrics, "loss")["picture"] == "Learning curve of loss: −1 at step 10, 2 at step 30."
    np.testing.assert_allclose(np.stack(drawn[0].axes[0].lines[0].get_data()), [[10, 20, 30], [-1, 0.5, 2]])
    assert "loss was −1 at step 10 and 2 at the end; its lowest was −1, at step 10." in course(metrics)[1]
