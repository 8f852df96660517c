"""Meta-training as a generator: every `next` is one step along the mean meta-gradient of a batch of tasks.

    params ← optimizer(params, ∇ mean_t loss(params, episode_t), lr · factor(step)),  episodes = tasks.batch(step, …)

The caller iterates, and may print, plot or stop. As batch and learning rate are functions of the step, a run that was
killed continues from its checkpoint to the same numbers.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import __version__
from ..adaptation.fitting import missing, ruled_out
from ..adaptation.learner import Learner
from ..episodes import Episode, Source, to, unstack
from ..errors import MapstoError
from . import checks, memory
from . import run as runs
from .estimators import Estimator
from .meta import meta_gradient
from .optimizers import OptimizerName
from .progress import Progress, Validation
from .schedule import Schedule, factor


class Step(NamedTuple):
    """What one step of training says."""

    step: int  # 1 … steps
    metrics: dict[
        str, float
    ]  # loss, grad_norm, lr, the learner's own, validation where it was due; means over the batch
    seconds: float  # of training so far, interruptions not counted


def train(
    learner: Learner,
    tasks: Source,
    steps: int,
    batch: int,
    lr: float = 1e-3,
    *,
    seed: int = 0,
    compile: bool = False,
    vectorise: bool | None = None,
    chunk_size: int | None = None,
    threads: int = 1,
    estimator: Estimator | None = None,
    optimizer: OptimizerName = "adamw",
    weight_decay: float = 0.0,
    clip: float | None = None,
    schedule: Schedule = "constant",
    warmup: int = 0,
    ema: float | None = None,
    validation: Validation | None = None,
    validate_every: int = 1000,
    run: str | Path | None = None,
    init: str | Path | None = None,
    resume: bool = False,
    checkpoint_every: int = 1000,
    log_every: int = 50,
    device: str | None = None,
    precision: str = "32-true",
    config: dict[str, Any] | None = None,
) -> Iterator[Step]:
    """Train `learner` in place, yielding a `Step` after each step.

    When the last step is done the learner holds what is to be used: the best weights on `validation`, else the moving
    average, else the last ones. A caller that stops early leaves a checkpoint of the last step and the last weights.

    Args:
        learner: the learner; parameters with `requires_grad=False` stay as they are.
        tasks: where the batches come from.
        steps: how many steps of the optimizer.
        batch: tasks a step.
        lr: peak learning rate.
        seed: of the tasks.
        compile: compile the meta-gradient as one graph, see `meta_gradient`.
        vectorise: all tasks at once, or one at a time; by default the faster, see `meta_gradient`.
        chunk_size: tasks at a time, which bounds the memory, see `meta_gradient`.
        threads: chunks at a time, see `meta_gradient`.
        estimator: how the meta-gradient is had; exactly by default, see `estimators`.
        optimizer: adamw, muon or sgd, see `optimizers`.
        weight_decay: of the optimizer; AdamW with 0 is Adam.
        clip: the largest gradient norm that is not scaled down.
        schedule: of the learning rate: constant, cosine or one-cycle, see `schedule.factor`.
        warmup: steps of rising learning rate.
        ema: decay of a moving average of the parameters.
        validation: learner ↦ a number to be small, say `ValidationLoss(tasks.validation)`; chooses the weights.
        validate_every: steps between validations; the last step is always one.
        run: folder for configuration, metrics, checkpoints and weights; see `training.run`.
        init: run folder or safetensors file whose weights to start from.
        resume: continue from the run's last checkpoint; start where it has none.
        checkpoint_every: steps between checkpoints; the last step is always one.
        log_every: steps between lines of metrics.
        device: "cpu", "cuda", "mps" or "auto", through lightning-fabric.
        precision: "32-true" or "bf16-mixed", through lightning-fabric.
        config: what else the run's configuration shall say.

    Raises:
        MapstoError: a loss or gradient that is not finite (named with its step, its task and the last good
            checkpoint), a run that cannot be written, resumed or overwritten, or `init` that does not fit.
    """
    checks.whole(
        steps=steps, batch=batch, validate_every=validate_every, checkpoint_every=checkpoint_every,
        log_every=log_every, threads=threads, chunk_size=chunk_size,
    )  # fmt: skip
    checks.rates(lr, weight_decay, clip, ema)
    checks.threads_hold(threads, precision)
    checks.named(run)
    settings = {
        "learner": type(learner).__name__, "tasks": type(tasks).__name__, "steps": steps, "batch": batch, "lr": lr,
        "seed": seed, "optimizer": optimizer, "weight_decay": weight_decay, "clip": clip, "schedule": schedule,
        "warmup": warmup, "ema": ema, "validate_every": validate_every, "init": None if init is None else str(init),
        "precision": precision, "estimator": None if estimator is None else type(estimator).__name__,
    }  # fmt: skip
    rate = partial(factor, schedule, steps=steps, warmup=warmup)
    rate(0)
    here, autocast = _fabric(device, precision)
    learner.to(here)
    checks.estimable(estimator, learner)
    checks.fits(learner, tasks, seed, here)
    if init is not None and not (run is not None and runs.started(run)):
        runs.load_weights(learner, init)
    folder = None if run is None else _folder(run, resume)
    progress = Progress(learner, weight_decay, ema, optimizer)
    if folder:
        _open(folder, progress, settings | (config or {}))
    gradient = meta_gradient(
        learner, compile=compile, vectorise=vectorise, chunk_size=chunk_size, threads=threads, estimator=estimator
    )
    with memory.kept(), _kept_at_a_stop(folder, progress):
        for index in range(progress.step, steps):
            started = time.perf_counter()
            episodes = to(tasks.batch(index, batch, seed), here)
            with autocast():
                grads, measured = gradient(progress.params, episodes, index)
            norm = torch.nn.utils.get_total_norm(list(grads.values()))
            numbers: dict[str, Any] = {**measured, "grad_norm": norm, "lr": lr * rate(index)}
            metrics = {name: float(value) for name, value in numbers.items()}
            if not (math.isfinite(metrics["loss"]) and math.isfinite(metrics["grad_norm"])):
                raise _diverged(learner, episodes, index, metrics, folder, progress.saved)
            progress.update(grads, norm, metrics["lr"], clip)
            last = progress.step == steps
            if validation and (last or progress.step % validate_every == 0):
                metrics["validation"] = progress.validate(validation)
            progress.seconds += time.perf_counter() - started
            if folder and (last or progress.step % log_every == 0 or "validation" in metrics):
                folder.log(progress.step, {**metrics, "seconds": round(progress.seconds, 3)})
            if folder and (last or progress.step % checkpoint_every == 0):
                progress.save(folder)
            if last:
                progress.finish()
            yield Step(progress.step, metrics, progress.seconds)


@contextmanager
def _kept_at_a_stop(folder: runs.Run | None, progress: Progress) -> Iterator[None]:
    """Leave a checkpoint where the caller stops: between two steps, where everything is of one step."""
    try:
        yield
    except GeneratorExit:
        if folder and progress.step > progress.saved:
            progress.save(folder)
        raise
    finally:
        if folder:
            folder.close()


def _folder(run: str | Path, resume: bool) -> runs.Run:
    folder = runs.Run(run)
    if folder.started and not resume:
        raise MapstoError(
            f"run: {run} already holds a checkpoint; resume it (--resume, or resume=True), or use another folder."
        )
    return folder


def _open(folder: runs.Run, progress: Progress, config: dict[str, Any]) -> None:
    """Begin the run in its folder, or go back to where it was."""
    if not folder.started:
        folder.configure({"mapsto": __version__, **config})
        folder.forget_after(0)
        return
    folder.agree(config)
    progress.restore(folder)
    folder.forget_after(progress.step)
    if progress.step >= config["steps"]:
        progress.finish()


def _fabric(device: str | None, precision: str) -> tuple[torch.device, Callable[[], AbstractContextManager]]:
    if device is None and precision == "32-true":  # spares lightning's import
        return torch.device("cpu"), nullcontext
    from lightning_fabric import Fabric

    try:
        fabric = Fabric(accelerator=device or "cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise MapstoError(f"device: got {device!r} with {precision!r} ({reason}); train on the CPU.") from error
    return fabric.device, fabric.autocast


def _diverged(
    learner: Learner, episodes: Episode, index: int, metrics: dict[str, float], folder: runs.Run | None, saved: int
) -> MapstoError:
    if told := missing(learner, episodes) or ruled_out(learner, episodes):
        return MapstoError(f"train: the loss became {metrics['loss']:.4g} at step {index + 1}, whose tasks have {told}")
    lost = [
        i for i, episode in enumerate(unstack(episodes)) if not math.isfinite(float(learner.loss(episode)[0].detach()))
    ]
    where = f"task {lost[0]} of its batch is the first that is not finite" if lost else "each task's loss is finite"
    kept = (
        f"the last good checkpoint is step {saved} in {folder.folder}" if folder and saved else "there is no checkpoint"
    )
    return MapstoError(
        f"train: the loss became {metrics['loss']:.4g} and its gradient's norm {metrics['grad_norm']:.4g} at step "
        f"{index + 1} ({where}); {kept}; start a new run with a lower lr or a clipped gradient (clip 1.0), from this "
        "one's weights (init) if they are good."
    )
