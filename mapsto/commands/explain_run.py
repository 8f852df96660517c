"""`mapsto explain RUN`: a test task of a trained run, explained by the features of its queries and by who taught it.

    features = Integrated Gradients of x ↦ score (a mapping that explains itself: its own attributions; a query with
               missing cells: Shapley values of hiding the others)
    teachers = score − score without that teaching example (w = 0, adapted again)

With `--method` by the explainers named there, see `explain_methods`.

The score is the probability of the predicted class, or the mean of the outputs where targets are predicted.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import atomically
from .options import write_json

if TYPE_CHECKING:
    import torch

    from ..episodes import Episode
    from ..learners import Learner

_QUERIES = 10
_ENUMERATED = 10  # columns


def explain_run(args: argparse.Namespace) -> int:
    """Explain the first queries of a test task and write the numbers to `explanation.npz`."""
    import numpy as np
    from rich.console import Console

    from .asked_task import episode_of
    from .configuration import load_run
    from .folder import made, writable

    out = writable(args.out or args.what)
    run = load_run(args.what)
    episode = episode_of(run.tasks, args.episode, args.seed)
    if args.method is not None:
        return _by_methods(run.learner, episode, args, out)
    support = episode.support
    queries = [_explained(run.learner, episode, x) for x in episode.query.x[:_QUERIES]]
    score, predicted, features, teachers = (np.stack(part) for part in zip(*queries, strict=True))
    made(out)
    path = out / "explanation.npz"
    found = {"x": episode.query.x[:_QUERIES], "y": episode.query.y[:_QUERIES], "teaching_y": support.y}
    arrays: dict[str, Any] = {name: part.numpy() for name, part in found.items()}
    arrays |= {"score": score, "predicted": predicted, "features": features, "teachers": teachers}
    atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))
    strongest = np.abs(teachers).argmax(1)
    if args.json:
        write_json(
            {
                "run": str(args.what),
                "queries": len(score),
                "strongest_teacher": strongest.tolist(),
                "explanation": str(path),
            }
        )
        return 0
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for i, j in enumerate(strongest):
        told, moved = _told(float(score[i]), int(predicted[i]), found["y"][i], float(teachers[i, j]))
        console.print(f"query {i}: {told}; teaching example {j} moved it most, by {moved}")
    console.print(f"wrote {path} (x, y, teaching_y, score, predicted, features, teachers)")
    return 0


def _by_methods(learner: "Learner", episode: "Episode", args: argparse.Namespace, out: Path) -> int:
    """Explain by the methods that were asked for, and print how far each can be trusted."""
    from rich.console import Console
    from rich.table import Table

    from .asked_methods import refuse_unknown
    from .explain_methods import MEASURES, QUERIES, explain_methods

    refuse_unknown(args.method)
    if episode.query.x.dim() > 2:
        patience = f"explaining {QUERIES} images and others like them, which can take minutes"
        Console(stderr=True, highlight=False, soft_wrap=True).print(patience)
    trusted = explain_methods(learner, episode, args.method, out)
    files = {"values": str(out / "methods.npz"), "picture": str(out / "methods.png")}
    if args.json:
        told = {method: {name: one[name]._asdict() for name in MEASURES} for method, one in trusted.items()}
        write_json({"run": str(args.what), "trust": told, **files})
        return 0
    table = Table("method", *MEASURES.values(), box=None, pad_edge=False)
    for method, found in trusted.items():
        table.add_row(method, *(f"{found[name].explainer.mean:.3g}" for name in MEASURES))
    for baseline in ("random", "magnitude"):
        cells = [getattr(found[name], baseline) for name in MEASURES]
        table.add_row(f"({baseline})", *("" if cell is None else f"{cell.mean:.3g}" for cell in cells))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if episode.query.x[0].numel() == 1:
        console.print("A query has one part only, so no order of parts is better than another: trust is not measured.")
    else:
        console.print(table)
        console.print("A large gap is good, a small infidelity and sensitivity; a method must beat both baselines.")
    console.print(f"wrote {files['picture']} and {files['values']}")
    return 0


def _explained(learner: "Learner", episode: "Episode", x: "torch.Tensor") -> tuple:
    """Return the score of one query, its class (-1: none), what its features and what the teaching examples gave it."""
    import torch

    from .. import views
    from ..explainers import IntegratedGradients, Occlusion, Shapley
    from ..joint import SelfExplaining

    classes = learner.loss_name == "cross_entropy"
    outputs = views.query(learner, episode)(x).detach()
    target = int(outputs.argmax()) if classes else None

    def link(scores: "torch.Tensor") -> "torch.Tensor":
        return scores.softmax(-1) if classes else scores.mean(-1)

    if isinstance(learner, SelfExplaining):
        features = learner.explain(learner.adapt_to(episode), x[None])[0][0, :, target]
    elif x.isnan().any():  # there is no way along which a missing cell could be moved, so cells are hidden
        hidden = views.game(views.query(learner, episode, target, link), x, baseline=torch.nan)
        features = Shapley(None if len(x) <= _ENUMERATED else 32 * len(x))(hidden)
    else:
        features = IntegratedGradients()(views.query(learner, episode, target, link), x)
    game = views.support_game(learner, episode, x, target, link)
    parts = link(outputs) if target is None else link(outputs)[target], features, Occlusion()(game)
    score, gave, taught = (part.detach().numpy() for part in parts)
    return score, -1 if target is None else target, gave, taught


def _told(score: float, predicted: int, truth: "torch.Tensor", moved: float) -> tuple[str, str]:
    """Say what was predicted of one query and what is true, and by how much it was moved; no class is −1."""
    if predicted < 0:
        return f"output {score:.3f} (true: {float(truth.mean()):.3f})", f"{moved:+.3f}"
    return f"class {predicted} at {100 * score:.1f} % (true: {int(truth)})", f"{100 * moved:+.1f} percentage points"
