"""Lines of NumPy written down as an ONNX graph, by calling them with values that have no numbers yet.

A `Value` answers the operators and functions of NumPy that `frames` calls (NEP 13 and NEP 18) with a value
for the result, and the graph notes how it was made. Arrays become constants of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .frames import sigmoid, softmax, split

OPSET, IR = 18, 8  # of ONNX 1.13, which onnxruntime reads from 1.14 on
UFUNCS = {
    np.add: "Add", np.subtract: "Sub", np.multiply: "Mul", np.divide: "Div",
    np.power: "Pow", np.maximum: "Max", np.minimum: "Min", np.negative: "Neg", np.exp: "Exp", np.log: "Log",
    np.sqrt: "Sqrt", np.sin: "Sin", np.cos: "Cos", np.isnan: "IsNaN",
}  # fmt: skip


class Tracing:
    """A graph that is being written.

    Args:
        inputs: names and shapes of its inputs, whose sizes may be names.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int | str]]):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self.inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()
        ]
        self.values = [Value(self, name) for name in inputs]

    def add(self, kind: str, *inputs: Any, count: int = 1, **attributes: Any) -> list[Value]:
        """Note an operation, and give its results."""
        names = [f"{kind.lower()}_{len(self.nodes)}" + f"_{n}" * (count > 1) for n in range(count)]
        self.nodes.append(helper.make_node(kind, list(map(self.name, inputs)), names, **attributes))
        return [Value(self, name) for name in names]

    def product(self, factors: tuple[Any, Any], *added: Any) -> Value:
        """A product of matrices, and what is added to it at once."""
        left, right = factors
        turned = isinstance(right, np.ndarray) and not right.flags.c_contiguous
        (value,) = self.add("Gemm", left, right.T if turned else right, *added, transB=int(turned))
        return value if added else Value(self, value.name, factors)

    def name(self, value: Any) -> str:
        """The name of a value, or of a constant, which is stored once."""
        if isinstance(value, Value):
            return value.name
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" or array.ndim == 0 else array
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._names:
            self._names[key] = f"constant_{len(self._names)}"
            self.constants[self._names[key]] = np.ascontiguousarray(array)
        return self._names[key]

    def model(
        self,
        outputs: dict[str, tuple[Value, Sequence[int | str]]],
        defaults: dict[str, np.ndarray],
        facts: dict[str, object],
    ) -> onnx.ModelProto:
        """The finished graph.

        Args:
            outputs: values and their shapes by name.
            defaults: of inputs that need not be given.
            facts: what the model says of itself.
        """
        for name, (value, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        described = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, (_, shape) in outputs.items()
        ]
        constants = [
            numpy_helper.from_array(array, name) for name, array in (self.constants | defaults).items()
        ]
        nodes = _needed(self.nodes, set(outputs))
        graph = helper.make_graph(nodes, "speechjem", self.inputs, described, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        helper.set_model_props(model, {name: str(fact) for name, fact in facts.items()})
        return model


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


class Value(np.lib.mixins.NDArrayOperatorsMixin):
    """What an operation of the graph gives.

    Args:
        graph: it belongs to.
        name: within the graph.
        factors: if it is the product of two matrices, these.
    """

    def __init__(self, graph: Tracing, name: str, factors: tuple[Any, Any] | None = None):
        self.graph, self.name, self.factors = graph, name, factors

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc not in {np.matmul, *UFUNCS}:
            return NotImplemented
        if ufunc is np.matmul:
            return self.graph.product(inputs)
        if ufunc is np.add:
            for value, other in (inputs, inputs[::-1]):
                if isinstance(value, Value) and value.factors:
                    return self.graph.product(value.factors, other)
        return self.graph.add(UFUNCS[ufunc], *inputs)[0]

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.concatenate and kwargs == {"axis": 1}:
            parts = [part for part in args[0] if part is not NOTHING]
            return self.graph.add("Concat", *parts, axis=1)[0]
        if function in (np.where, np.clip) and not kwargs:
            return self.graph.add(function.__name__.capitalize(), *args)[0]
        return NotImplemented

    def __getitem__(self, place: slice | tuple[slice, slice | np.ndarray]) -> Value:
        rows, columns = place if isinstance(place, tuple) else (place, slice(None))
        if isinstance(columns, np.ndarray):
            return self.graph.add("Gather", self, columns, axis=1)[0]
        axis, part = (0, rows) if columns == slice(None) else (1, columns)
        stop = np.iinfo(np.int64).max if part.stop is None else part.stop
        return self.graph.add("Slice", self, *(np.array([n]) for n in (part.start or 0, stop, axis)))[0]

    def reshape(self, *shape: int) -> Value:
        """As that of an array."""
        return self.graph.add("Reshape", self, np.array(shape))[0]

    def mean(self, axis: int, keepdims: bool) -> Value:
        """As that of an array."""
        return self.graph.add("ReduceMean", self, np.array([axis]), keepdims=int(keepdims))[0]


NOTHING = object()  # a part without columns


@split.register
def _split(x: Value, sizes: Sequence[int]) -> list[Any]:
    some = [size for size in sizes if size]
    parts = iter(x.graph.add("Split", x, np.array(some), count=len(some), axis=1))
    return [next(parts) if size else NOTHING for size in sizes]


@sigmoid.register
def _sigmoid(x: Value) -> Value:
    return x.graph.add("Sigmoid", x)[0]


@softmax.register
def _softmax(x: Value) -> Value:
    return x.graph.add("Softmax", x, axis=1)[0]
