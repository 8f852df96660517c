"""A run is the folder of one training: its configuration, its metrics and its weights.

    config.yaml               the arguments of the training
    metrics.jsonl             one JSON object for each logged step, without the lost steps of an interrupted run
    checkpoint.safetensors    parameters, moving averages, optimizer state and step, to continue from
    weights.safetensors       the weights to use: the best on validation, else the moving average, else the last
    events.out.tfevents.*     the same metrics for TensorBoard, if it is installed

Metrics and events are appended. Every other file is written under a temporary name and renamed, so that an interruption
leaves the previous file whole.
"""

import importlib.util
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml
from torch import Tensor, nn

from .. import checks
from ..errors import MapstoError
from ..files import atomically
from . import settings

FORMAT = 1
CHECKPOINT, WEIGHTS, CONFIG, METRICS = "checkpoint.safetensors", "weights.safetensors", "config.yaml", "metrics.jsonl"

Meta = dict[str, str]


class Run:
    """The folder of one training, open for writing.

    Raises:
        MapstoError: if the folder cannot be made or written to.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._writer: Any = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            atomically(self.folder / ".writable", lambda temporary: temporary.write_bytes(b""))
            (self.folder / ".writable").unlink()
        except OSError as error:
            raise MapstoError(
                f"run: cannot write to {self.folder} ({error.strerror}); choose another folder."
            ) from error

    @property
    def started(self) -> bool:
        """Whether the folder holds a checkpoint to continue from."""
        return started(self.folder)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write `config.yaml`."""
        text = yaml.safe_dump({**config, "format": FORMAT}, sort_keys=False)
        atomically(self.folder / CONFIG, lambda temporary: temporary.write_text(text))

    def agree(self, config: Mapping[str, Any], free: Collection[str] = settings.FREE) -> None:
        """Raise MapstoError if the run was configured differently; entries named in `free` may differ.

        With a constant schedule the number of steps may grow.
        """
        before = read_config(self.folder)
        compared = (before.keys() & config.keys()) - {"mapsto", "format", *free}
        changed = [name for name in config if name in compared and before[name] != config[name]]
        if "steps" in changed and config.get("schedule") == "constant" and config["steps"] > before["steps"]:
            changed.remove("steps")
        values = ", ".join(f"{name}={before[name]!r} (got {config[name]!r})" for name in changed)
        remedy = "resume it with the same arguments, or use another folder"
        checks.expect(not changed, "run", f"{self.folder}, which has {values}", "the same arguments", remedy)
        self.configure({**before, **config})

    def save(self, file: str, tensors: Mapping[str, Tensor], meta: Meta) -> None:
        """Write tensors to a safetensors file of this run."""
        data = safetensors.torch.save(contiguous(tensors), {"format": str(FORMAT), **meta})
        atomically(self.folder / file, lambda temporary: temporary.write_bytes(data))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one step to `metrics.jsonl` and to the TensorBoard events."""
        with open(self.folder / METRICS, "a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        if self._writer is None:
            self._writer = _tensorboard(self.folder, step)
        for name, value in metrics.items() if self._writer else ():
            self._writer.add_scalar(name, value, step)

    def forget_after(self, step: int) -> None:
        """Drop the logged steps after `step`, because the resumed run computes and logs them again."""
        path = self.folder / METRICS
        if path.exists():
            kept = "".join(line + "\n" for line in path.read_text().splitlines() if _step(line) <= step)
            atomically(path, lambda temporary: temporary.write_text(kept))

    def close(self) -> None:
        """Close the file of TensorBoard events, if one is open."""
        if self._writer:
            self._writer.close()


def started(folder: str | Path) -> bool:
    """Return whether a folder holds a checkpoint to continue from."""
    return (Path(folder) / CHECKPOINT).exists()


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], Meta]:
    """Read a safetensors file and its metadata.

    Raises:
        MapstoError: if the file is missing, truncated or of another format.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError as error:
        raise MapstoError(f"run: {path.parent} holds no {path.name}; train into it first.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise MapstoError(f"run: {path} is corrupt or truncated ({error}); train again.") from error
    _require_format(path, meta.get("format") == str(FORMAT), meta)
    return tensors, meta


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read a run's `config.yaml`.

    Raises:
        MapstoError: if the file is missing, unreadable or of another format, or its `steps` is not a whole number.
    """
    path = Path(folder) / CONFIG
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise MapstoError(f"run: {folder} holds no {CONFIG}, so it is not a run; pass the folder of one.") from error
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        raise MapstoError(f"run: {path} is not readable as YAML; train again.") from error
    config = config if isinstance(config, dict) else {}
    _require_format(path, config.get("format") == FORMAT, config)
    steps = config.get("steps", 0)
    whole = isinstance(steps, int) and not isinstance(steps, bool)
    checks.expect(whole, "run", f"steps: {steps!r} in {path}", "a whole number", "mend it, or train again")
    return config


def _require_format(path: Path, same: bool, entries: Mapping[str, Any]) -> None:
    got = f"format {entries.get('format', 'unknown')} in {path}"
    checks.expect(same, "run", got, f"format {FORMAT}", "use the mapsto version that wrote it, or train again")


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that safetensors can write."""
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def tensors_of(learner: nn.Module) -> dict[str, Tensor]:
    """Return a dictionary from names to a module's parameters and buffers; of several names, it has the first only."""
    first = _first_names(learner)
    return {name: tensor for name, tensor in learner.state_dict().items() if first[name] == name}


def load_tensors(learner: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into the parameters and buffers of a module; a tensor with several names needs only its first.

    Raises:
        RuntimeError: if the tensors do not fit the module.
    """
    first = _first_names(learner)
    tied = {name: tensors[first[name]] for name in first if name not in tensors and first[name] in tensors}
    learner.load_state_dict({**tensors, **tied})


def _first_names(learner: nn.Module) -> dict[str, str]:
    """Return the first name of each parameter and buffer of a module, by each of its names."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(t), name) for name, t in learner.state_dict(keep_vars=True).items()}


def load_weights(learner: nn.Module, source: str | Path) -> int:
    """Load weights from a run folder or a safetensors file into `learner`; return how many steps they were trained for.

    `source` is the path of the folder or the file. The number is 0 if the file does not record it.

    Raises:
        MapstoError: if there are no weights, or if they do not fit the learner.
    """
    path = Path(source)
    tensors, meta = read_tensors(path / WEIGHTS if path.is_dir() or not path.suffix else path)
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    try:
        load_tensors(learner, tensors)
        steps = int(meta.get("step", 0))
    except (RuntimeError, ValueError) as error:
        learner.load_state_dict(before)  # tensors that fit have been loaded
        reason = " ".join(str(error).split())
        raise MapstoError(
            f"weights: {path} holds weights that do not fit this {type(learner).__name__} ({reason})."
        ) from error
    return steps


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):  # an interruption cut the line short
        return float("inf")


def _tensorboard(folder: Path, step: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return False
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step)
