"""The benchmark of several processes: its model of the cost against values worked out by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("scaling", Path(__file__).parents[1] / "benchmarks/scaling.py")
assert _SPEC is not None and _SPEC.loader is not None
scaling = sys.modules["scaling"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scaling)

NETWORK = scaling.Cluster("network", 0.001, 1000.0)
COST = scaling.Cost(draw=0.01, compute=0.5, update=0.1, size=600)


def test_a_message_goes_round_a_ring_or_along_a_tree() -> None:
    assert scaling.message(NETWORK, 600, 1) == 0
    assert scaling.message(NETWORK, 600, 2) == pytest.approx(0.002 + 0.6)
    assert scaling.message(NETWORK, 600, 3) == pytest.approx(0.004 + 0.8)
    slow = NETWORK._replace(latency=1.0)
    assert scaling.message(slow, 600, 64) == pytest.approx(126 + 1.18125)
    assert scaling.message(slow._replace(trees=True), 600, 64) == pytest.approx(12 + 1.2)


def test_a_step_is_as_long_as_the_part_of_the_busiest_process() -> None:
    assert scaling.step(COST, NETWORK, 5, 1) == pytest.approx(0.05 + 2.5 + 0.1)
    assert scaling.step(COST, NETWORK, 5, 2) == pytest.approx(0.05 + 1.5 + 0.1 + 0.602)
    assert scaling.step(COST, NETWORK._replace(speed=10.0), 5, 2) == pytest.approx(0.05 + 0.16 + 0.602)


def test_speed_is_that_of_one_process_at_first_and_bounded_by_what_is_not_shared() -> None:
    assert scaling.speed(COST, NETWORK, 6, 1, False) == scaling.speed(COST, NETWORK, 6, 1, True) == 1
    free = COST._replace(size=0, draw=0.0, update=0.0)
    still = NETWORK._replace(latency=0.0)
    assert scaling.speed(free, still, 6, 3, False) == pytest.approx(3)
    assert scaling.speed(free, still, 6, 48, False) == pytest.approx(6)  # no more than there are tasks
    assert scaling.speed(free, still, 6, 48, True) == pytest.approx(48)


def test_latency_and_bandwidth_are_those_of_the_messages(capsys: pytest.CaptureFixture) -> None:
    here = scaling.network({str(size): scaling.message(NETWORK, size, 2) for size in (100, 500, 900)})
    assert here.latency == pytest.approx(0.001) and here.bandwidth == pytest.approx(1000)
