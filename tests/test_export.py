"""An adapted learner is exported once, for any number of rows; the exported program has the learner's numbers."""

import sys
from pathlib import Path

import pytest
import torch

import mapsto as mt
from mapsto.episodes import unstack

sys.path.append(str(Path(__file__).parent))
from test_learners import LEARNERS, TRANSDUCTIVE

FIXED = {  # not for any number of rows, and why
    "meta network on images": "torch maps a convolution with weights of each row for a known number of rows only",
    "DKT": "torch's export of a product of two transposed views fails",
    "in context": "attention over rows is computed in parts",
    "in context, 2 ways": "the same",
    "in context, numbers": "the same",
}
QUICK = ("MAML", "prototypes", "siamese", "ridge regression", "CNP")
ANY = [name for name, row in LEARNERS.items() if row.exempt is not TRANSDUCTIVE and name not in FIXED]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in ANY])
def test_any_number_of_rows(name: str, unchecked: None) -> None:
    torch.manual_seed(0)
    learner, episode = LEARNERS[name].make().double(), unstack(LEARNERS[name].batch())[0]
    module, x = mt.as_module(learner, episode).eval(), episode.query.x
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("rows")},))
    for rows in (x, x[:3], torch.cat([x, x])):
        torch.testing.assert_close(program.module()(rows), module(rows))
    assert module(x).std() > 0


@pytest.mark.long
@pytest.mark.parametrize("name", FIXED)
def test_an_exception_is_needed(name: str, unchecked: None) -> None:
    episode = unstack(LEARNERS[name].batch())[0]
    module = mt.as_module(LEARNERS[name].make().double(), episode).eval()
    with pytest.raises((AssertionError, torch._dynamo.exc.UserError)):
        torch.export.export(module, (episode.query.x,), dynamic_shapes=({0: torch.export.Dim("rows")},))
