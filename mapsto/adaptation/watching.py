"""Read a network's intermediate features, what each of its parts hands on to the next; or put others in their place."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from ..errors import MapstoError

Result = TypeVar("Result")


def watch(body: nn.Module, call: Callable[[], object]) -> dict[str, Tensor]:
    """Run `call` and name each tensor that a part of `body` returned on the way, in the order of the calls.

    A part that runs twice is named once, by its last output. Works inside `torch.func` transforms.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
            if isinstance(output, Tensor):
                seen[name] = output

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in body.named_modules() if name]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def replace(layer: nn.Module, by: Callable[[Any], Any], call: Callable[[], Result]) -> Result:
    """Run `call` with each output of `layer` replaced by `by(output)`. Works inside `torch.func` transforms.

    >>> import torch
    >>> net = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> replace(net[0], lambda output: -output, lambda: net(torch.tensor([[1.0, -2.0]])))
    tensor([[0., 2.]])
    """
    handle = layer.register_forward_hook(lambda layer, inputs, output: by(output))
    try:
        return call()
    finally:
        handle.remove()


def part(module: nn.Module, name: str) -> nn.Module:
    """Return the layer that `watch` calls `name` in one of the parts of `module`; or by its name in `module` itself.

    Raises:
        MapstoError: no part has a layer of that name, or several have one.
    """
    layers = dict(module.named_modules())
    found = [name] if name and name in layers else [path for path in layers if path.partition(".")[2] == name != ""]
    if len(found) == 1:
        return layers[found[0]]
    if found:
        raise MapstoError(f"layer: got {name!r}, the name of several ({', '.join(found)}); give one of these in full.")
    known = ", ".join(filter(None, dict.fromkeys(path.partition(".")[2] for path in layers)))
    raise MapstoError(f"layer: got {name!r}, expected the name of a layer of the learner, as {known or 'it has none'}.")
