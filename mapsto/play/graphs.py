"""PyTorch modules as ONNX graphs whose weights are in one file, so that graphs with the same weights share them.

The pretrained weights are rounded to 16 bits. A weight for which this loses nothing is stored in 16 bits; the graph
widens it to 32, so that its results are those of PyTorch up to rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

_SMALL = 1024  # bytes; smaller tensors stay in the graph
_STEPS = 24  # of Newton's iteration: enough for condition numbers up to 10,000


class Weights:
    """The bytes of the weights of all graphs, each of them once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._offsets: dict[bytes, int] = {}

    def place(self, raw: bytes) -> int:
        """Return the offset of `raw`, after appending it if it is new."""
        if raw not in self._offsets:
            self._offsets[raw] = len(self.data)
            self.data += raw
        return self._offsets[raw]


def graph(
    module: nn.Module,
    example: tuple[Any, ...],
    axes: tuple[Any, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    weights: Weights,
    file: str = "weights.bin",
) -> bytes:
    """Return the ONNX graph of `module`, whose large weights are appended to `weights`.

    Args:
        module: the module.
        example: arguments of the module.
        axes: for each argument, the axes that may have any size, as in `torch.export`.
        inputs: the names of the tensors of the arguments, in their order.
        outputs: the names of the tensors that the module returns, in their order.
        weights: the weights of this graph and of earlier ones.
        file: the name by which the graph refers to `weights`.
    """
    program = torch.export.export(module, example, dynamic_shapes=axes)
    exported = torch.onnx.export(
        program, input_names=list(inputs), output_names=list(outputs), verbose=False,
        custom_translation_table=_translations(),
    )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    _compact(model.graph, weights, file)
    del model.metadata_props[:]
    return model.SerializeToString()


def _compact(graph: Any, weights: Weights, file: str) -> None:
    """Move large tensors to `weights`, in 16 bits if this loses nothing, and drop what only a person would read."""
    from onnx import TensorProto, helper, numpy_helper

    widened = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.nbytes < _SMALL:
            continue
        name, kind, halved = tensor.name, tensor.data_type, _halved(values)
        if halved is not None:
            name, kind = f"{tensor.name}_16", TensorProto.FLOAT16
            widened.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
        values = values if halved is None else halved
        graph.initializer.remove(tensor)
        graph.initializer.append(_outside(name, kind, values, weights, file))
    nodes = [*widened, *graph.node]
    del graph.node[:], graph.value_info[:]
    for node in nodes:
        node.doc_string, _ = "", node.metadata_props.__delitem__(slice(None))
    graph.node.extend(nodes)


def _halved(values: np.ndarray) -> np.ndarray | None:
    if values.dtype != np.float32:
        return None
    with np.errstate(over="ignore"):
        halved = values.astype(np.float16)
    return halved if np.array_equal(halved.astype(np.float32), values) else None


def _outside(name: str, kind: int, values: np.ndarray, weights: Weights, file: str) -> Any:
    from onnx import TensorProto

    raw = np.ascontiguousarray(values).tobytes()
    tensor = TensorProto(name=name, data_type=kind, dims=values.shape, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": file, "offset": weights.place(raw), "length": len(raw)}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _translations() -> dict[Any, Any]:
    """Return the operators of torch that ONNX lacks, or that its exporter translates wrongly for axes of any size."""
    import onnxscript

    op: Any = onnxscript.opset18  # its types cannot tell what is a number of an axis

    def inverse(A: Any, check_errors: bool = False) -> Any:
        """Newton's iteration X ← X (2I − A X) from X = I / max_i Σ_j |A_ij|, for A positive definite (Schulz 1933)."""
        size, last, both = op.Shape(A, start=-1), op.Constant(value_ints=[-1]), op.Constant(value_ints=[-2, -1])
        alone = op.EyeLike(op.ConstantOfShape(op.Concat(size, size, axis=0)), dtype=1)
        norm = op.ReduceMax(op.ReduceSum(op.Abs(A), last), both)
        X, twice = op.Div(alone, norm), op.Add(alone, alone)
        for _ in range(_STEPS):
            X = op.MatMul(X, op.Sub(twice, op.MatMul(A, X)))
        return X, op.Constant(value_int=0)

    def repeat_rows(x: Any, repeats: Any, dim: int = 0, output_size: Any = None) -> Any:
        rest, one = op.Shape(x, start=1), op.Constant(value_ints=[1])
        count = op.Constant(value_ints=[repeats]) if isinstance(repeats, int) else op.Reshape(repeats, one)
        many = op.Expand(op.Unsqueeze(x, one), op.Concat(one, count, rest, axis=0))
        return op.Reshape(many, op.Concat(op.Constant(value_ints=[-1]), rest, axis=0))

    aten = torch.ops.aten
    return {aten.linalg_inv_ex.default: inverse, aten.repeat_interleave.self_int: repeat_rows}
