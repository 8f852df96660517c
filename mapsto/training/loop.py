"""Meta-training as a generator: every `next` takes one step along the mean meta-gradient of a batch of tasks.

    params ← optimizer(params, ∇ mean_t loss(params, episode_t), lr · factor(step)),  episodes = tasks.batch(step, …)

The caller iterates, and may print, plot or stop. Because the batch and the learning rate are functions of the step, a
run that was killed continues from its checkpoint to the same numbers.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules.conv import _ConvNd

from .. import __version__, checks, processes
from ..adaptation.fitting import missing, ruled_out, trainable
from ..adaptation.learner import Learner
from ..episodes import Episode, Source, checked, some, to, unstack
from ..errors import MapstoError
from ..processes import Processes
from ..threads import one_thread
from . import choosing, memory, preflight
from . import run as runs
from .identity import choices, frozen, origin
from .meta import meta_gradient
from .progress import Progress
from .schedule import factor
from .settings import Settings, free

SMALL = 100_000  # parameters below which torch's own threads cost more than they save, unless there are convolutions


class Step(NamedTuple):
    """The result of one step of training.

    `metrics` are means over the batch: the loss, the norm of its gradient (`grad_norm`), the learning rate `lr`, the
    learner's own metrics, and the validation result if a validation was due.
    """

    step: int  # 1 … steps
    metrics: dict[str, float]
    seconds: float  # of training so far, without interruptions


def train(learner: Learner, tasks: Source, steps: int, batch: int, lr: float = 1e-3, **options: Any) -> Iterator[Step]:
    """Train `learner` in place: a generator that yields a `Step` with the metrics after each optimizer step.

    Training proceeds only while the caller iterates. After the last step, the learner holds the weights for which the
    function given as option `validation` returned the lowest value. Without this option, it holds the moving average of
    the weights (option `ema`) or, without a moving average, the last weights. If the caller stops early, the learner
    keeps the weights of the last step, and the run folder (option `run`) gets a checkpoint of this step.

    Several processes (options `devices` and `num_nodes`) train as one does, to float rounding, unless the learner draws
    random numbers, as dropout does. Their steps have the same metrics, so a caller that stops by the metrics stops in
    all processes at once.

    On the CPU, a learner without convolutions and with fewer than 100,000 parameters is computed on one core, because
    torch's own threads would cost more than they save.

    Args:
        learner: the learner. Its parameters with `requires_grad=False` do not change.
        tasks: the source of tasks, from which each step takes one batch.
        steps: the number of optimizer steps.
        batch: the number of tasks in each step.
        lr: the peak learning rate.
        options: any other field of `training.settings.Settings`.

    Raises:
        MapstoError: if `learner` is not a learner; if `tasks` is not a source of tasks; if a setting is out of range;
            if the tasks do not fit the learner; if a loss or a gradient is not finite (the message states the step, the
            task and the last good checkpoint); if the run cannot be written, resumed or overwritten; or if the weights
            of the option `init` do not fit the learner; or if another process of the same training has ended.
    """
    trainable(learner, tasks)
    settings = Settings(steps, batch, lr, **options)
    group = processes.start(settings.devices, settings.num_nodes, settings.device, settings.precision)
    device = group.device
    learner.to(device)
    draws = _draws(learner, tasks, settings, group)
    measures = settings.measures and not draws  # random numbers, as of dropout, depend on the way
    with group.led():
        if group.first and settings.init is not None and not (settings.run is not None and runs.started(settings.run)):
            runs.load_weights(learner, settings.init)
        folder = _folder(settings) if group.first else None
        progress = Progress(learner, settings.weight_decay, settings.ema, settings.optimizer)
        if folder:
            _open(folder, progress, _configuration(learner, tasks, settings, draws), free(draws))
        if measures and group.first and progress.at_once is None:
            progress.at_once = _at_once(progress, tasks, settings, group)
    progress.agree(group)
    gradient = meta_gradient(
        learner, compile=settings.compile, vectorise=progress.at_once if measures else settings.vectorise,
        chunk_size=settings.chunk_size, threads=settings.threads, estimator=settings.estimator, processes=group,
    )  # fmt: skip
    small = sum(p.numel() for p in learner.parameters()) < SMALL and not any(
        isinstance(m, _ConvNd) for m in learner.modules()
    )
    threads = one_thread if small and device.type == "cpu" else nullcontext
    if progress.step >= steps:
        progress.finish()
    with memory.kept(), _checkpoint_at_a_stop(folder, progress):
        for index in range(progress.step, steps):
            started = time.perf_counter()
            episodes = to(checked(tasks.batch(index, batch, settings.seed)), device)
            with threads(), group.autocast(), _seeded(settings.seed, index, group):
                grads, measured = gradient(progress.params, episodes, index)
            norm = torch.nn.utils.get_total_norm(list(grads.values()))
            rate = lr * factor(settings.schedule, index, steps, settings.warmup)
            numbers: dict[str, Any] = {**measured, "grad_norm": norm, "lr": rate}
            metrics = {name: float(value) for name, value in numbers.items() if name not in progress.buffers}
            if not (math.isfinite(metrics["loss"]) and math.isfinite(metrics["grad_norm"])):
                raise _diverged(learner, episodes, index, metrics, folder, progress.saved)
            progress.update(grads, norm, metrics["lr"], settings.clip)
            progress.carry(measured)
            if settings.validation and settings.due(progress.step, settings.validate_every):
                metrics["validation"] = progress.validate(settings.validation, group)
            progress.seconds += time.perf_counter() - started
            if folder:
                _record(folder, progress, settings, metrics)
            if progress.step == steps:
                progress.finish()
            yield Step(progress.step, metrics, progress.seconds)


def _at_once(progress: Progress, tasks: Source, settings: Settings, group: Processes) -> bool | None:
    """Return whether tasks are computed faster at once, measured on the first batch, or None if it is known."""
    own = group.part(settings.batch).own
    episodes = some(to(checked(tasks.batch(0, settings.batch, settings.seed)), group.device), own)
    with memory.kept(), group.autocast():
        return choosing.at_once(progress.learner, progress.params, episodes, settings.estimator)


def _draws(learner: Learner, tasks: Source, settings: Settings, group: Processes) -> bool:
    """Return whether the learner's loss draws random numbers; raise MapstoError if the settings or tasks do not fit."""
    preflight.estimable(settings.estimator, learner)
    with _seeded(settings.seed, 0, group):
        draws = preflight.fits(learner, tasks, settings.seed, group.device)
    got = f"{settings.threads} for a learner that draws random numbers, as dropout does"
    alone = settings.threads == 1 or not draws
    checks.expect(alone, "threads", got, "1, because all threads draw from one generator, in no fixed order")
    return draws


@contextmanager
def _seeded(seed: int, index: int, group: Processes) -> Iterator[None]:
    """Make the random numbers of layers such as dropout a function of the seed, the step and the process."""
    device, further = group.device, () if group.first else (group.rank,)
    word = int(np.random.SeedSequence((abs(seed), int(seed < 0), index, *further)).generate_state(1)[0])
    cpu, before = torch.default_generator, torch.default_generator.get_state()
    with torch.random.fork_rng([device]) if device.type == "cuda" else nullcontext():
        if device.type == "cuda":
            torch.cuda.manual_seed(word)
        cpu.manual_seed(word)
        try:
            yield
        finally:
            cpu.set_state(before)


def _configuration(learner: Learner, tasks: Source, settings: Settings, draws: bool) -> dict[str, Any]:
    """Return what `config.yaml` records: the settings, and the learner's choices unless the settings name them."""
    names = {"learner": type(learner).__name__, "tasks": type(tasks).__name__}
    given = settings.config or {}
    own = {} if "learner" in given else {**choices(learner), "frozen": frozen(learner)}
    own |= {} if "tasks" in given else origin(tasks)
    return {**names, **own, **settings.recorded(draws), **given}


def _record(folder: runs.Run, progress: Progress, settings: Settings, metrics: dict[str, float]) -> None:
    """Log the metrics and write a checkpoint, each if it is due."""
    if settings.due(progress.step, settings.log_every) or "validation" in metrics:
        folder.log(progress.step, {**metrics, "seconds": round(progress.seconds, 3)})
    if settings.due(progress.step, settings.checkpoint_every):
        progress.save(folder)


@contextmanager
def _checkpoint_at_a_stop(folder: runs.Run | None, progress: Progress) -> Iterator[None]:
    """Write a checkpoint if the caller stops, which happens between two steps only."""
    try:
        yield
    except GeneratorExit:
        if folder and progress.step > progress.saved:
            progress.save(folder)
        raise
    finally:
        if folder:
            folder.close()


def _folder(settings: Settings) -> runs.Run | None:
    if settings.run is None:
        return None
    folder = runs.Run(settings.run)
    checks.expect(
        settings.resume or not folder.started, "run", f"{settings.run}, which already holds a checkpoint",
        "a new folder", "resume the run (resume=True), or use another folder",
    )  # fmt: skip
    return folder


def _open(folder: runs.Run, progress: Progress, config: dict[str, Any], free: tuple[str, ...]) -> None:
    """Begin the run in its folder, or restore its last checkpoint."""
    if not folder.started:
        folder.configure({"mapsto": __version__, **config})
        folder.forget_after(0)
        return
    folder.agree(config, free)
    progress.restore(folder)
    folder.forget_after(progress.step)


def _diverged(
    learner: Learner, episodes: Episode, index: int, metrics: dict[str, float], folder: runs.Run | None, saved: int
) -> MapstoError:
    """Return the error that says where the loss or the gradient stopped being finite, and the remedy."""
    if reason := missing(learner, episodes) or ruled_out(learner, episodes):
        return MapstoError(
            f"train: the loss became {metrics['loss']:.4g} at step {index + 1}, whose tasks have {reason}"
        )
    tasks = unstack(episodes)
    losses = [float(learner.loss(episode)[0].detach()) for episode in tasks]
    diverged = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
    where = f"task {diverged[0]} of its batch is the first that is not finite" if diverged else "each loss is finite"
    checkpoint = (
        f"the last good checkpoint is step {saved} in {folder.folder}" if folder and saved else "there is no checkpoint"
    )
    remedy = "with a lower lr or a clipped gradient (clip 1.0), from this one's weights (init) if they are good"
    if diverged and _adaptation_diverges(learner, tasks[diverged[0]]):
        remedy = "with fewer inner steps or a lower inner learning rate of the learner, because it is adaptation that "
        remedy += "diverges: without it the loss is finite"
    return MapstoError(
        f"train: the loss became {metrics['loss']:.4g} and its gradient's norm {metrics['grad_norm']:.4g} at step "
        f"{index + 1} ({where}); {checkpoint}; start a new run {remedy}."
    )


def _adaptation_diverges(learner: Learner, episode: Episode) -> bool:
    """Return whether the loss is finite if all support examples have weight 0, so that an inner loop stays in place."""
    support = episode.support._replace(w=torch.zeros_like(episode.support.w))
    with torch.no_grad():
        loss = learner.query_loss(episode._replace(support=support))
    return learner.differentiation is not None and bool(loss.isfinite())
