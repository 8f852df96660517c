"""The state of a training, and how it is saved in a checkpoint and restored."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import safetensors.torch
import torch
from torch import Tensor

from .. import __version__
from ..adaptation.learner import Learner, Metrics, evaluating
from ..errors import MapstoError
from ..processes import Processes
from . import run as runs
from .optimizers import Factory, OptimizerName, optimizer
from .validation import Validation, ValidationLoss


class Progress:
    """The parameters, their moving average, the best weights so far, the optimizer, the step and the seconds."""

    def __init__(
        self,
        learner: Learner,
        weight_decay: float,
        ema: float | None,
        optimizer_name: OptimizerName | Factory = "adamw",
    ):
        self.learner, self.ema = learner, ema
        self.params: dict[str, Tensor] = {name: p for name, p in learner.named_parameters() if p.requires_grad}
        saved = learner.state_dict()
        self.buffers = {name: buffer for name, buffer in learner.named_buffers() if name in saved}
        self.average = _copy(self._weights()) if ema else {}
        self.best: dict[str, Tensor] = {}
        self.score = math.inf
        self.optimizer = optimizer(optimizer_name, self.params, weight_decay)
        self.step, self.saved, self.seconds = 0, 0, 0.0  # saved: step of the last checkpoint
        self.at_once: bool | None = None  # the way to compute tasks, if it was measured

    def update(self, grads: dict[str, Tensor], norm: Tensor, lr: float, clip: float | None) -> None:
        """Take one optimizer step along `grads`, whose norm is `norm`."""
        for name, parameter in self.params.items():
            parameter.grad = grads[name]
        if clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.params.values(), clip, norm)
        self.optimizer.step(lr)
        if self.ema:
            with torch.no_grad():
                averages = [self.average[name] for name in self.params]
                torch._foreach_lerp_(averages, list(self.params.values()), 1 - self.ema)
        self.step += 1

    def carry(self, metrics: Metrics) -> None:
        """Write the new values of the learner's buffers, which `metrics` holds under the names of the buffers."""
        moved = {name: value for name, value in metrics.items() if name in self.buffers}
        _assign(self.buffers, moved)
        for name in moved:
            if self.ema:
                before, now = self.average[name], self.buffers[name]
                self.average[name] = torch.lerp(before, now, 1 - self.ema) if now.is_floating_point() else now.clone()

    def validate(self, validation: Validation, processes: Processes) -> float:
        """Validate the weights (the moving average, if there is one), and keep them if they are the best so far."""
        if isinstance(validation, ValidationLoss):
            validation = partial(validation, processes=processes)
        with self._using(self.average), evaluating(self.learner):
            score = float(processes.from_first(torch.tensor(float(validation(self.learner)), dtype=torch.float64)))
            if score < self.score:
                self.score, self.best = score, _copy(self._weights())
        return score

    def finish(self) -> None:
        """Put the weights to use into the learner: the best on validation, else the moving average, else the last."""
        _assign(self._weights(), self.best or self.average)

    def save(self, folder: runs.Run) -> None:
        """Write a checkpoint, and the weights to use."""
        meta = {"mapsto": __version__, **{name: repr(value) for name, value in self._numbers().items()}}
        folder.save(runs.CHECKPOINT, self._tensors(), meta)
        folder.save(runs.WEIGHTS, runs.tensors_of(self.learner) | (self.best or self.average), meta)
        self.saved = self.step

    def restore(self, folder: runs.Run) -> None:
        """Continue from the folder's checkpoint.

        Raises:
            MapstoError: if the checkpoint does not fit this learner.
        """
        path = folder.folder / runs.CHECKPOINT
        tensors, meta = runs.read_tensors(path)
        try:
            meta = {"at_once": "-1", **meta}  # older checkpoints have none
            self._load(tensors, {name: float(meta[name]) for name in self._numbers()})
        except (KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise MapstoError(
                f"run: {path} does not fit this {type(self.learner).__name__} ({reason}); "
                "resume with the arguments it was trained with, or use another folder."
            ) from error

    def agree(self, processes: Processes) -> None:
        """Continue from the state of the first process, which alone may have read weights or a checkpoint."""
        if processes.size == 1:
            return
        numbers = torch.tensor(list(self._numbers().values()), dtype=torch.float64)
        content = safetensors.torch.save({"numbers": numbers, **runs.contiguous(self._tensors())})
        sent = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        size = int(processes.from_first(torch.tensor(len(sent))))
        sent = processes.from_first(sent if processes.first else sent.new_empty(size))
        tensors = safetensors.torch.load(sent.numpy().tobytes())
        self._load(tensors, dict(zip(self._numbers(), tensors.pop("numbers").tolist(), strict=True)))

    def _tensors(self) -> dict[str, Tensor]:
        """Return all tensors of the state, which `_load` reads."""
        tensors = _prefixed("learner", runs.tensors_of(self.learner)) | _prefixed("average", self.average)
        tensors |= _prefixed("best", self.best)
        for i, slots in self.optimizer.state().items():
            tensors |= _prefixed(f"optimizer/{i}", slots)
        return tensors

    def _numbers(self) -> dict[str, float]:
        at_once = -1 if self.at_once is None else int(self.at_once)
        return {"step": self.step, "seconds": self.seconds, "score": self.score, "at_once": at_once}

    def _load(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> None:
        runs.load_tensors(self.learner, _under("learner", tensors))
        _assign(self.average, _under("average", tensors))
        device = next(iter(self.params.values())).device
        self.best = {name: tensor.to(device) for name, tensor in _under("best", tensors).items()}
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer", tensors).items():
            index, slot = name.split("/")
            slots.setdefault(int(index), {})[slot] = tensor
        self.optimizer.load(slots)
        self.step = self.saved = int(numbers["step"])
        self.seconds, self.score = numbers["seconds"], numbers["score"]
        self.at_once = {-1: None, 0: False, 1: True}[int(numbers["at_once"])]

    def _weights(self) -> dict[str, Tensor]:
        return self.params | self.buffers

    @contextmanager
    def _using(self, weights: dict[str, Tensor]) -> Iterator[None]:
        before = _copy(self._weights()) if weights else {}
        _assign(self._weights(), weights)
        try:
            yield
        finally:
            _assign(self._weights(), before)


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _assign(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in values.items():
            targets[name].copy_(value)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")
    }
