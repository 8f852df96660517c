"""Find what makes a module's answer for a row random, or dependent on the other rows of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import checks

_RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)


def random_part(module: nn.Module) -> str | None:
    """Return the class and the name of the first submodule that draws at random in training, or None.

    >>> random_part(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    "Dropout '1'"
    >>> random_part(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).eval())
    """
    return next((_label(part, name) for name, part in module.named_modules() if part.training and _draws(part)), None)


def mixing_part(module: nn.Module) -> str | None:
    """Return the class and the name of the first batch norm that uses statistics of the current batch, or None."""
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and (part.training or part.running_mean is None):
            return _label(part, name)
    return None


@contextmanager
def refused(name: str) -> Iterator[None]:
    """Raise MapstoError, naming the argument `name`, if torch's random numbers are used.

    >>> with refused("learner"):
    ...     drawn = nn.functional.dropout(torch.ones(3))
    Traceback (most recent call last):
    mapsto.errors.MapstoError: learner: got one that draws random numbers, expected the same answer at each call; ...
    """
    if torch.compiler.is_compiling():
        yield
        return
    before = generators()
    yield
    same = all(map(torch.equal, before, generators()))
    got, remedy = "one that draws random numbers", f"call {name}.eval() first"
    checks.expect(same, name, got, "the same answer at each call", remedy)


def generators() -> list[Tensor]:
    """Return the states of torch's generators of random numbers: that of the CPU and, if it is used, of the GPU."""
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if on_gpu else [])]


def _draws(part: nn.Module) -> bool:
    if isinstance(part, nn.RNNBase):
        return part.dropout > 0 and part.num_layers > 1
    if isinstance(part, nn.MultiheadAttention):
        return part.dropout > 0
    return isinstance(part, _RANDOM) and getattr(part, "p", 1) > 0


def _label(part: nn.Module, name: str) -> str:
    return f"{type(part).__name__} {name!r}"
