"""`mapsto explain RUN`: a test task of a trained run, explained by the features of its queries and by its teachers.

With `--method`, the explainers named there explain it, and the table says how far each can be trusted.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MapstoError
from ..files import atomically
from .options import as_options, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from ..episodes import Episode
    from ..learners import Learner
    from ..measures.faithfulness.trust import Trust

_QUERIES = 10


def explain_run(args: argparse.Namespace) -> int:
    """Explain the first queries of a test task and write the numbers to `explanation.npz` or `methods.npz`."""
    from ..reports.task.question import episode_of
    from .configuration import load_run
    from .folder import writable

    out = writable(args.out or args.path)
    run = load_run(args.path, allow_imports=args.allow_imports)
    with as_options(index="--episode", methods="--method"):
        episode = episode_of(run.tasks, args.episode or 0, args.seed)
        if args.method is not None:
            return _by_methods(run.learner, episode, args, out)
    return _by_features(run.learner, episode, args, out)


def _by_features(learner: "Learner", episode: "Episode", args: argparse.Namespace, out: Path) -> int:
    import numpy as np
    from rich.console import Console

    from ..reports.task.features import query_reasons
    from .folder import make

    queries = [query_reasons(learner, episode, x) for x in episode.query.x[:_QUERIES]]
    score, predicted, features, teachers = (np.stack(part) for part in zip(*queries, strict=True))
    x, y = episode.query.x[:_QUERIES], episode.query.y[:_QUERIES]
    arrays: dict[str, Any] = {"x": x.numpy(), "y": y.numpy(), "teaching_y": episode.support.y.numpy()}
    arrays |= {"score": score, "predicted": predicted, "features": features, "teachers": teachers}
    path = make(out) / "explanation.npz"
    atomically(path, lambda temporary: np.savez_compressed(temporary, **arrays))
    strongest = np.abs(teachers).argmax(1).tolist()
    if args.json:
        files = {"explanation": str(path)}
        write_json({"run": str(args.path), "queries": len(score), "strongest_teacher": strongest, **files})
        return 0
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for i, j in enumerate(strongest):
        answer, moved = query_line(float(score[i]), int(predicted[i]), y[i], float(teachers[i, j]))
        console.print(f"query {i}: {answer}; teaching example {j} moved it most, by {moved}")
    console.print(f"wrote {path} (x, y, teaching_y, score, predicted, features, teachers)")
    return 0


def _by_methods(learner: "Learner", episode: "Episode", args: argparse.Namespace, out: Path) -> int:
    """Explain by the methods of `--method`, and print how far each can be trusted."""
    from rich.console import Console

    from ..reports.task.methods import names_of
    from ..reports.task.question import QUERIES
    from ..reports.task.reasons import MEASURES

    names_of(args.method)
    if episode.query.x.dim() > 2:
        patience = f"explaining {QUERIES} images and others like them, which can take minutes"
        Console(stderr=True, highlight=False, soft_wrap=True).print(patience)
    trust = explain_methods(learner, episode, args.method, out)
    files = {"values": str(out / "methods.npz"), "picture": str(out / "methods.png")}
    if args.json:
        numbers = {name: {key: part[key]._asdict() for key in MEASURES if part} for name, part in trust.items()}
        write_json({"run": str(args.path), "trust": numbers, **files})
    else:
        _print_trust(trust)
        console = Console(highlight=False, soft_wrap=True, markup=False)
        console.print(f"wrote {files['picture']} and {files['values']}")
    return 0


def explain_methods(learner: "Learner", episode: "Episode", methods: str, out: Path) -> "dict[str, dict[str, Trust]]":
    """Explain the first queries of an episode; write `methods.npz` and `methods.png`, return the trust in each method.

    Raises:
        MapstoError: a method is not an explainer of rows, or cannot explain this learner or these queries.
    """
    import numpy as np

    from .. import figures
    from ..reports.task.hiding import hiding_of
    from ..reports.task.methods import explainers_of
    from ..reports.task.question import task_question
    from ..reports.task.reasons import explain
    from .folder import make

    question = task_question(learner, episode)
    hiding = hiding_of(question)
    values, trust, left_out = explain(explainers_of(methods, hiding, question), question, hiding)
    for name, reason in left_out.items():
        raise MapstoError(f"methods: {name} cannot explain this task: {reason}; leave it out.")
    make(out)
    arrays: dict[str, Any] = {name: v.numpy() for name, v in values.items()} | {"x": question.query.x.numpy()}
    atomically(out / "methods.npz", lambda temporary: np.savez_compressed(temporary, **arrays))
    picture = figures.attributions(arrays["x"], {name: arrays[name] for name in values}, question.titles)
    atomically(out / "methods.png", lambda temporary: picture.savefig(temporary, dpi=160, format="png"))
    return trust


def _print_trust(trust: "dict[str, dict[str, Trust]]") -> None:
    from rich.console import Console
    from rich.table import Table

    from ..reports.task.reasons import MEASURES

    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not any(trust.values()):
        console.print("A query has one part only, so no order of parts is better than another: trust is not measured.")
        return
    table = Table("method", *MEASURES.values(), box=None, pad_edge=False)
    for method, measures in trust.items():
        table.add_row(method, *(f"{measures[key].explainer.mean:.3g}" for key in MEASURES))
    first = next(iter(trust.values()))
    for baseline in ("random", "magnitude"):
        cells = [getattr(first[key], baseline) for key in MEASURES]
        table.add_row(f"({baseline})", *("" if cell is None else f"{cell.mean:.3g}" for cell in cells))
    console.print(table)
    console.print("A large gap is good, a small infidelity and sensitivity; a method must beat both baselines.")


def query_line(score: float, predicted: int, truth: "Tensor", moved: float) -> tuple[str, str]:
    """Return the answer to a query beside the truth, and its largest change; a class of −1 means numbers."""
    from ..figures.numbers import percent, points, significant

    if predicted < 0:
        true = significant(float(truth.mean()))
        return f"output {significant(score)} (true: {true})", significant(moved, signed=True)
    return f"class {predicted} at {percent(score)} (true: {int(truth)})", f"{points(moved)} percentage points"
