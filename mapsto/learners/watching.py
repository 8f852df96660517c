"""Read a network's intermediate features: what each of its parts hands on to the next."""

from collections.abc import Callable

from torch import Tensor, nn


def watch(body: nn.Module, call: Callable[[], Tensor]) -> dict[str, Tensor]:
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
