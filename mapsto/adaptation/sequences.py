"""Networks that are plain sequences, whose layers may be run one by one with the numbers of running the network."""

from torch import nn


def plain(body: nn.Module) -> bool:
    """Return whether `body` only calls its layers in turn, each once, with parameters that no other layer has.

    A network with hooks is none, because a hook may change what layers read or return.
    """
    every = [layer for _, layer in body.named_modules(remove_duplicate=False)]
    names = [name for name, _ in body.named_parameters(remove_duplicate=False)]
    once = len(set(every)) == len(every) and len(names) == len(list(body.parameters()))
    return once and in_turn(body) and not any("forward" in vars(layer) or _hooked(layer) for layer in every)


def in_turn(layer: nn.Module) -> bool:
    """Return whether a layer calls its layers in turn, unlike a subclass of `nn.Sequential` with another order."""
    return type(layer).forward is nn.Sequential.forward


def _hooked(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)
