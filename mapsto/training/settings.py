"""The settings of a training: every option of `train` except the learner and the tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from .. import checks
from .estimators import Estimator, Random
from .identity import name_of
from .optimizers import Factory, OptimizerName
from .schedule import Schedule
from .validation import Validation

FREE = (
    *("compile", "vectorise", "chunk_size", "threads", "device", "devices", "num_nodes"),
    *("checkpoint_every", "log_every"),
)
"""Settings that may change when a run is resumed."""
SHAPING = ("compile", "vectorise", "chunk_size", "devices", "num_nodes")
"""Those of `FREE` that change the random numbers of layers such as dropout: a learner with such layers keeps them."""
_NOT_RECORDED = ("validation", "run", "resume", "config")


def free(draws: bool) -> tuple[str, ...]:
    """Return the settings that may change when a run is resumed, given whether its learner draws random numbers."""
    return tuple(name for name in FREE if not (draws and name in SHAPING))


@dataclass(frozen=True, eq=False)
class Settings:
    """How to train.

    Args:
        steps: number of optimizer steps.
        batch: number of tasks in each step.
        lr: peak learning rate.
        seed: seed of the tasks and of random layers such as dropout, anew in each step.
        compile: compile the meta-gradient as one graph, see `meta_gradient`.
        vectorise: all tasks at once, or one at a time; by default the faster of the two, see `meta_gradient`. For
            networks with convolutions on the CPU, the first batch is computed in both ways to find it, and a resumed
            run keeps it.
        chunk_size: number of tasks to compute at a time, which bounds the memory, see `meta_gradient`.
        threads: number of chunks to compute in parallel, see `meta_gradient`; 1 if the learner draws random numbers, as
            dropout does.
        estimator: how to compute the meta-gradient; exactly by default, see `estimators`.
        optimizer: adamw, muon, sgd (without momentum), or a function that makes an optimizer of a list of parameters,
            such as `partial(torch.optim.SGD, momentum=0.9)`, see `optimizers`. The learning rate is always `lr` times
            the schedule, and the weight decay of a function's optimizer is its own.
        weight_decay: weight decay of the optimizer; AdamW with 0 is Adam.
        clip: gradients with a larger norm are scaled down to this norm.
        schedule: schedule of the learning rate: constant, cosine or one-cycle, see `schedule.factor`.
        warmup: number of steps during which the learning rate rises.
        ema: decay of a moving average of the parameters, such as 0.999.
        validation: function of the learner that returns a number, such as `ValidationLoss(tasks.validation)`; the
            weights with the lowest number are kept.
        validate_every: steps between validations; the last step always validates.
        run: folder for configuration, metrics, checkpoints and weights, see `training.run`.
        init: run folder or safetensors file with the initial weights.
        resume: continue from the run's last checkpoint, or start if there is none.
        checkpoint_every: steps between checkpoints; the last step always writes one.
        log_every: steps between lines of metrics; the last step always writes one.
        device: "cpu", "cuda", "mps" or "auto", through lightning-fabric.
        devices: number of processes on each machine. They share the tasks of a batch, or the directions of an
            estimator; each of them ends with the trained learner, and the first one writes the run. The other processes
            run the same script, see `mapsto.processes`.
        num_nodes: number of machines.
        precision: "32-true" or "bf16-mixed", through lightning-fabric.
        config: further entries of the run's configuration; they override those of the same name.

    Raises:
        MapstoError: a number is out of range, the optimizer or the schedule is unknown, several threads are combined
            with a lower precision, or there are more processes than tasks, or directions, in a step.
    """

    steps: int
    batch: int
    lr: float = 1e-3
    seed: int = 0
    compile: bool = False
    vectorise: bool | None = None
    chunk_size: int | None = None
    threads: int = 1
    estimator: Estimator | None = None
    optimizer: OptimizerName | Factory = "adamw"
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Schedule = "constant"
    warmup: int = 0
    ema: float | None = None
    validation: Validation | None = None
    validate_every: int = 1000
    run: str | Path | None = None
    init: str | Path | None = None
    resume: bool = False
    checkpoint_every: int = 1000
    log_every: int = 50
    device: str | None = None
    devices: int = 1
    num_nodes: int = 1
    precision: str = "32-true"
    config: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check every setting that can be checked without the learner and the tasks."""
        checks.count(steps=self.steps, batch=self.batch, threads=self.threads)
        every = {"validate_every": self.validate_every, "checkpoint_every": self.checkpoint_every}
        checks.count(**every, log_every=self.log_every)
        if self.chunk_size is not None:
            checks.count(chunk_size=self.chunk_size)
        checks.at_least(0, lr=self.lr, weight_decay=self.weight_decay)
        checks.expect(self.clip is None or self.clip > 0, "clip", self.clip, "a gradient norm above 0")
        checks.expect(self.ema is None or 0 < self.ema < 1, "ema", self.ema, "a decay between 0 and 1, such as 0.999")
        if not callable(self.optimizer):
            checks.one_of(get_args(OptimizerName), optimizer=self.optimizer)
        checks.one_of(get_args(Schedule), schedule=self.schedule)
        checks.count(0, warmup=self.warmup)
        checks.expect(self.warmup < self.steps, "warmup", self.warmup, f"fewer steps than all {self.steps}")
        alone = self.threads == 1 or self.precision == "32-true"
        got = f"{self.threads} with precision {self.precision!r}"
        checks.expect(alone, "threads", got, "1, because a lower precision holds in one thread only")
        self._check_processes()
        checks.expect(self.run is None or bool(str(self.run).strip()), "run", "an empty name", "a folder to write to")

    def _check_processes(self) -> None:
        checks.count(devices=self.devices, num_nodes=self.num_nodes)
        by, size = self.estimator, self.devices * self.num_nodes
        shared, name = (by.count, "directions") if isinstance(by, Random) else (self.batch, "tasks")
        got = f"{size} processes for {shared} {name} a step"
        checks.expect(shared >= size, "devices", got, "at most as many", "start fewer processes")

    @property
    def measures(self) -> bool:
        """Whether the faster way to compute tasks may be found by measuring."""
        return self.vectorise is None and not self.compile and self.chunk_size is None and self.threads == 1

    def due(self, step: int, every: int) -> bool:
        """Return whether something that happens every `every` steps, and at the last one, happens after `step`."""
        return step == self.steps or step % every == 0

    def recorded(self, draws: bool = False) -> dict[str, Any]:
        """Return the settings that `config.yaml` records, as plain values, see `free`."""
        left_out = (*free(draws), *_NOT_RECORDED)
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in left_out}
        values["init"] = None if self.init is None else str(self.init)
        values["estimator"] = None if self.estimator is None else type(self.estimator).__name__
        values["optimizer"] = name_of(self.optimizer) if callable(self.optimizer) else self.optimizer
        return values
