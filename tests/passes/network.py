"""Builds graphs for tests of passes and planner straight in the IR: no model file stands between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant, verify
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.variables import AssignVariable, ReadVariable
from thimble.compiler.ops.window import Padding

Rewrite = Callable[[Graph], Graph]


class Network:
    """A graph under construction. Every method that makes a value gives its index; `tensor` counts on from 0."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.inputs: list[int] = []

    def type(self, value: int) -> TensorType:
        """The type of a value."""
        return self.values[value].type

    def shape(self, value: int) -> tuple[int, ...]:
        """The shape of a value."""
        return self.type(value).shape

    def input(self, shape: Sequence[int], scale: float = 0.1, zero: int = 0, dtype: DType = DType.INT8) -> int:
        """An input of the graph."""
        self.inputs.append(self._add(self._type(shape, scale, zero, dtype), Role.INPUT))
        return self.inputs[-1]

    def constant(self, data: np.ndarray, scales: float | Sequence[float] = 0.1, zero: int = 0, axis: int = 0) -> int:
        """A constant; several scales are those of the indices of `axis`."""
        scales = (scales,) if isinstance(scales, float) else tuple(scales)
        quant = QuantParams(tuple(float(np.float32(s)) for s in scales), (zero,) * len(scales), axis)
        self.values.append(constant("c", data, TensorType(data.shape, DType(data.dtype.name), quant)))
        return len(self.values) - 1

    def state(self, shape: Sequence[int], scale: float = 0.1, zero: int = 0) -> int:
        """A state that holds its zero point at first."""
        index = self._add(self._type(shape, scale, zero, DType.INT8), Role.STATE)
        self.values[index] = replace(self.values[index], data=np.full(shape, zero, np.int8))
        return index

    def read(self, state: int) -> int:
        """READ_VARIABLE."""
        return self.node(ReadVariable(), state)

    def assign(self, state: int, value: int) -> None:
        """ASSIGN_VARIABLE."""
        self.nodes.append(Node(AssignVariable(), (state, value), (), f"node {len(self.nodes)}"))

    def node(
        self,
        op: Operator,
        *inputs: int | None,
        scale: float | None = None,
        zero: int | None = None,
        dtype: DType | None = None,
    ) -> int:
        """A node of one output, quantized like its first input but for what is given."""
        assert inputs[0] is not None
        given = self.type(inputs[0])
        quant = given.quant or QuantParams((0.1,), (0,))
        scale, zero = quant.scale if scale is None else scale, quant.zero_point if zero is None else zero
        type_ = self._type((), scale, zero, dtype or given.dtype)
        operands = tuple(None if i is None else self.values[i] for i in inputs)
        (shape,) = op.shapes(Site(op, operands, (Value("y", type_),), "draft"))
        index = self._add(replace(type_, shape=shape), Role.ACTIVATION)
        self.nodes.append(Node(op, inputs, (index,), f"node {len(self.nodes)}"))
        return index

    def conv(
        self,
        x: int,
        weights: np.ndarray,
        bias: Sequence[int] | None = None,
        *,
        scale: float = 0.1,
        zero: int = 0,
        activation: Activation = Activation.NONE,
        stride: int = 1,
        padding: Padding = Padding.VALID,
        weight_scale: float | Sequence[float] = 0.02,
        depthwise: bool = False,
    ) -> int:
        """CONV_2D with weights (O, KH, KW, C), or DEPTHWISE_CONV_2D with weights (1, KH, KW, O)."""
        window = (activation, stride, stride, 1, 1, padding)
        axis = 3 if depthwise else 0
        op = DepthwiseConv2D(*window, weights.shape[3] // self.shape(x)[3]) if depthwise else Conv2D(*window)
        operands = self._weights(x, weights, bias, weight_scale, axis)
        return self.node(op, x, *operands, scale=scale, zero=zero)

    def connected(
        self,
        x: int,
        weights: np.ndarray,
        bias: Sequence[int] | None = None,
        *,
        scale: float = 0.1,
        zero: int = 0,
        activation: Activation = Activation.NONE,
        weight_scale: float | Sequence[float] = 0.02,
    ) -> int:
        """FULLY_CONNECTED with weights (O, D)."""
        operands = self._weights(x, weights, bias, weight_scale, 0)
        return self.node(FullyConnected(activation, False), x, *operands, scale=scale, zero=zero)

    def graph(self, *outputs: int) -> Graph:
        """The finished graph, verified."""
        graph = Graph("network", tuple(self.values), tuple(self.nodes), tuple(self.inputs), outputs)
        verify(graph)
        for site in graph.sites:
            for constraint in site.op.constraints:
                assert constraint(site), f"{site.op.name}: {constraint.__doc__}"
        return graph

    def _weights(
        self, x: int, weights: np.ndarray, bias: Sequence[int] | None, scale: float | Sequence[float], axis: int
    ) -> tuple[int, int | None]:
        scales = [float(np.float32(s)) for s in ([scale] if isinstance(scale, float) else scale)]
        w = self.constant(weights.astype(np.int8), scales, 0, axis)
        products = [self.values[x].quant.scale * s for s in scales]
        return w, None if bias is None else self.constant(np.asarray(bias, np.int32), products, 0)

    def _type(self, shape: Sequence[int], scale: float, zero: int, dtype: DType) -> TensorType:
        return TensorType(tuple(shape), dtype, QuantParams((float(np.float32(scale)),), (zero,)))

    def _add(self, type_: TensorType, role: Role) -> int:
        index = len(self.values)
        self.values.append(Value(f"v{index}", type_, role, None, index))
        return index


def draw_samples(graph: Graph, count: int = 5) -> list[list[np.ndarray]]:
    """Inputs of consecutive inferences: random ones, all lowest, all highest, only extremes."""
    rng = np.random.default_rng(1)
    samples = []
    for number in range(count):
        arrays = []
        for i in graph.inputs:
            type_ = graph.values[i].type
            low, high = type_.dtype.range
            drawn = rng.integers(low, high, type_.shape, type_.dtype.numpy, endpoint=True)
            extreme = np.where(rng.random(type_.shape) < 0.5, low, high).astype(type_.dtype.numpy)
            kinds = {1: np.full_like(drawn, low), 2: np.full_like(drawn, high), 3: extreme}
            arrays.append(kinds.get(number, drawn))
        samples.append(arrays)
    return samples


def run(graph: Graph, samples: list[list[np.ndarray]], **options: object) -> list[list[bytes]]:
    """The bytes of all outputs of consecutive inferences in the integer reference."""
    executor = Executor(graph, **options)  # type: ignore[arg-type]
    return [[array.tobytes() for array in executor.invoke(sample)] for sample in samples]


def assert_equal_bytes(before: Graph, after: Graph) -> None:
    """Both graphs have the same interface and give the same bytes for the same inputs."""
    verify(after)
    for old, new in ((before.inputs, after.inputs), (before.outputs, after.outputs)):
        assert [before.values[i].type for i in old] == [after.values[i].type for i in new]
        assert [before.values[i].name for i in old] == [after.values[i].name for i in new]
    samples = draw_samples(before)
    assert run(before, samples) == run(after, samples)


def names(graph: Graph) -> list[str]:
    """The operators of a graph in order."""
    return [node.op.name for node in graph.nodes]


def rewritten(rewrite: Rewrite, graph: Graph) -> list[str]:
    """The operators that a pass leaves, once its bytes were found equal."""
    after = rewrite(graph)
    assert_equal_bytes(graph, after)
    return names(after)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(-127, 127, shape, np.int8, endpoint=True)
