"""Choose parameters of a network by name, such as those that adapt: all, those of its head, all others, or patterns.

The head is the layer whose output is the score. It is found by running the network and walking back along the graph of
its output to the nearest layer with a matrix, so neither the order in which layers are registered nor a tied weight
misleads it.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.utils import parametrize

from .. import checks
from .normalisation import on_query

Choice = Literal["all", "head", "body"] | Sequence[str] | Callable[[str], bool]
"""Which parameters: all, those of the head, all but those, those whose name matches a pattern or a function accepts."""


def chosen(body: nn.Module, adapt: Choice, argument: str = "adapt") -> list[str]:
    """Return the names of the chosen parameters; "head" stands for the layer that was registered last.

    The words leave out frozen parameters. A parameter with several names is chosen by any of them, and is returned
    under its first name. `argument` is the name of the choice in error messages.

    Raises:
        MapstoError: if `adapt` is not a choice, or a pattern or the whole choice matches no parameter.
    """
    named = dict(body.named_parameters())
    if isinstance(adapt, str):
        checks.one_of(("all", "head", "body"), **{argument: adapt})
        return checked(body, free(body, adapt, [name for name in named if name.startswith(_last(body))]), argument)
    patterns = isinstance(adapt, Collection) and all(isinstance(pattern, str) for pattern in adapt)
    choices = "'all', 'head', 'body', patterns of names such as ['head.*'], or a function of a name"
    checks.expect(callable(adapt) or patterns, argument, repr(adapt), choices)
    first: dict[int, str] = {}
    aliases = {name: first.setdefault(id(p), name) for name, p in body.named_parameters(remove_duplicate=False)}
    chosen = {aliases[name] for name in aliases if _accepts(adapt, name)}
    for pattern in () if callable(adapt) else adapt:
        matches = any(fnmatchcase(name, pattern) for name in aliases)
        checks.expect(matches, argument, repr(pattern), f"a pattern of some of the names {', '.join(aliases)}")
    return checked(body, [name for name in named if name in chosen], argument)


def free(body: nn.Module, word: str, head: Collection[str]) -> list[str]:
    """Return the names of the parameters that a word stands for and that are not frozen; `head` is the head's."""
    names = [name for name, parameter in body.named_parameters() if parameter.requires_grad]
    return [name for name in names if word == "all" or (name in head) == (word == "head")]


def checked(body: nn.Module, names: list[str], argument: str = "adapt") -> list[str]:
    """Return the names, after checking that there is one."""
    got = f"{type(body).__name__} without a parameter to {argument}"
    checks.expect(bool(names), "body", got, "at least one", f"unfreeze some, or choose others by `{argument}`")
    return names


def head(body: nn.Module, x: Tensor) -> list[str]:
    """Return the names of the parameters of the head, found by running `body` on zeros of the shape of `x`.

    This also works inside `torch.func` transforms. The parameters are zeros too, because only the graph matters.
    """
    like = {name: (p.shape, p.dtype, p.device) for name, p in body.named_parameters()}
    shape, dtype, device = (max(len(x), 1), *x.shape[1:]), x.dtype, x.device
    with temporarily_clear_interpreter_stack(), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        leaves = {name: torch.zeros(s, dtype=t, device=d, requires_grad=True) for name, (s, t, d) in like.items()}
        scores = on_query(body, leaves, {}, torch.zeros(shape, dtype=dtype, device=device))
    names = {id(leaf): name for name, leaf in leaves.items()}
    queue, seen, near = deque([scores.grad_fn]), set(), set[str]()
    while queue and not any(leaves[name].dim() > 1 for name in near):
        node = queue.popleft()
        if node is not None and node not in seen:
            seen.add(node)
            inputs = [function for function, _ in node.next_functions]
            near |= _whole_layers(body, {names[key] for key in map(_variable, inputs) if key in names})
            queue.extend(inputs)
    return [name for name in leaves if name in near]


def _variable(node: Any) -> int | None:
    """Return the identity of the leaf that a chain of functions with one input ends in."""
    while node is not None and len(node.next_functions) == 1:
        node = node.next_functions[0][0]
    return id(node.variable) if type(node).__name__ == "AccumulateGrad" else None


def _whole_layers(body: nn.Module, names: set[str]) -> set[str]:
    """Return the names, and those of all other parameters of the layers that they belong to."""
    first = {id(p): name for name, p in body.named_parameters()}
    layers = [m for m in body.modules() if parametrize.is_parametrized(m) or not any(map(_parametric, m.children()))]
    owned = [{first[id(p)] for p in layer.parameters()} for layer in layers]
    return names.union(*(own for own in owned if own & names))


def _parametric(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _accepts(adapt: Sequence[str] | Callable[[str], bool], name: str) -> bool:
    return bool(adapt(name)) if callable(adapt) else any(fnmatchcase(name, pattern) for pattern in adapt)


def _last(body: nn.Module) -> str:
    owners = [name for name, layer in body.named_modules() if any(True for _ in layer.parameters(recurse=False))]
    return f"{owners[-1]}." if owners and owners[-1] else ""
