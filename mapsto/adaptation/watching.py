"""Read or replace the outputs of a network's submodules, which are its intermediate features."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn

from .. import checks
from .learner import Learner

Result = TypeVar("Result")


def watch(body: nn.Module, call: Callable[[], object]) -> dict[str, Tensor]:
    """Run `call`, and return the output of each submodule of `body` by name, in the order of the calls.

    If a submodule runs twice, its last output is returned. Outputs that are not tensors are left out. This also works
    inside `torch.func` transforms.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
            if isinstance(output, Tensor):
                outputs[name] = output.clone()  # the next layer may work in place

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in body.named_modules() if name]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def replace(layer: nn.Module, by: Callable[[Any], Any], call: Callable[[], Result]) -> Result:
    """Run `call` with each output of `layer` replaced by `by(output)`, and return the result of `call`.

    This also works inside `torch.func` transforms.

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


def only_output(layer: str, part: nn.Module, call: Callable[[], object]) -> Tensor:
    """Return the output of the submodule `part` during `call`; `layer` is its name in error messages.

    Raises:
        MapstoError: if `part` does not run exactly once, or does not return a floating-point tensor.
    """
    outputs: list = []

    def keep(output: object) -> object:
        outputs.append(output.clone() if isinstance(output, Tensor) else output)  # the next layer may work in place
        return output

    replace(part, keep, call)
    checks.expect(
        len(outputs) == 1, "layer", f"{layer!r}, which runs {len(outputs)} times", "a layer that runs once",
        "take one of a feed-forward body",
    )  # fmt: skip
    output = outputs[0]
    kind = str(output.dtype) if isinstance(output, Tensor) else type(output).__name__
    floating = isinstance(output, Tensor) and output.is_floating_point()
    checks.expect(floating, "layer", f"{layer!r}, which returns {kind}", "a layer with a floating-point tensor")
    return output


def part(module: nn.Module, name: str) -> nn.Module:
    """Return the submodule of `module` with this name.

    The first part of the full name may be left out, as in the names that `watch` returns: "0" for "body.0". So may the
    names of wrapped learners: "0" for "learner.body.0".

    Raises:
        MapstoError: if no submodule has this name, or several have it.
    """
    layers = dict(module.named_modules())
    short = {path: _short(module, path) for path in layers}
    paths = [name] if name and name in layers else [path for path in layers if short[path] == name != ""]
    several = f"{name!r}, the name of several ({', '.join(paths)})"
    checks.expect(len(paths) < 2, "layer", several, "one of these names in full")
    names = ", ".join(filter(None, dict.fromkeys(short.values())))
    checks.expect(
        len(paths) == 1, "layer", repr(name), f"the name of a layer of the learner: {names or 'there is none'}"
    )
    return layers[paths[0]]


def _short(module: nn.Module, path: str) -> str:
    first, _, rest = path.partition(".")
    inner = getattr(module, first, None)
    return _short(inner, rest) if isinstance(inner, Learner) else rest
