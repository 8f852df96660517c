"""A head that adapts alone: the layers below it run once for a task, and the inner steps run the head only.

    h = layers below(x),      φ_{i+1} = φ_i − lr · ∇_φ Σ w·ℓ(head_φ(h), y)

Raghu et al. 2020, "Rapid Learning or Feature Reuse?", eq. 2.
"""

from collections.abc import Collection
from itertools import takewhile
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.modules.dropout import _DropoutNd

from .normalisation import SupportNorm, Tensors, on_query, on_support


def alone(body: nn.Module, adapted: Collection[str], x: Tensor) -> str:
    """Return the name of the submodule that has all adapted parameters and returns the scores, or "" if there is none.

    Its only input must not depend on these parameters. To find out, `body` runs on zeros of the shape of `x`.
    """
    paths = zip(*(parameter.split(".")[:-1] for parameter in adapted), strict=False)
    name = ".".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, paths))
    head = body.get_submodule(name)
    if not name or any(isinstance(layer, SupportNorm) for layer in head.modules()):
        return ""
    calls: list[tuple[tuple, dict, Any]] = []
    handle = head.register_forward_hook(lambda _, *call: calls.append(call), with_kwargs=True)
    like = {n: (p.shape, p.dtype, p.device) for n, p in body.named_parameters()}
    shape, dtype, device = (max(len(x), 1), *x.shape[1:]), x.dtype, x.device
    try:
        with temporarily_clear_interpreter_stack(), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            leaves = {n: torch.zeros(s, dtype=t, device=d, requires_grad=n in adapted) for n, (s, t, d) in like.items()}
            scores = on_query(body, leaves, {}, torch.zeros(shape, dtype=dtype, device=device))
    finally:
        handle.remove()
    return name if len(calls) == 1 and calls[0][2] is scores and _constant(*calls[0][:2], rows=shape[0]) else ""


def _constant(inputs: tuple, named: dict, rows: int) -> bool:
    """Return whether the only input is a tensor of all rows without a derivative by the adapted parameters."""
    x = inputs[0] if len(inputs) == 1 and not named else None
    return isinstance(x, Tensor) and x.dim() > 0 and len(x) == rows and not x.requires_grad


def draws(body: nn.Module) -> bool:
    """Return whether dropout is active: then every step draws its own mask of the features."""
    return any(isinstance(layer, _DropoutNd) and layer.training for layer in body.modules())


def inputs_of(
    body: nn.Module, head: str, params: Tensors, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n ..."], Tensors]:
    """Return the inputs of the head for a support set, and the statistics of the batch-norm layers below it."""
    inputs: list[Tensor] = []
    handle = body.get_submodule(head).register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
    try:
        _, statistics = on_support(body, params, x, w)
    finally:
        handle.remove()
    return inputs[0], statistics


def scores_of(body: nn.Module, head: str, params: Tensors, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
    """Return the scores of the head for its inputs `x`; `params` are parameters of `body`."""
    own = {name.removeprefix(f"{head}."): p for name, p in params.items() if name.startswith(f"{head}.")}
    return on_query(body.get_submodule(head), own, {}, x.clone())  # the head may work in place
