"""A normalized float graph in PyTorch, for a batch of samples: its own values, or with integers simulated in it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import BOUNDS, Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.window import Axis

Tensor = Any
"""A torch.Tensor; torch is an extra, so that nothing here may import it."""

Weights = Callable[[int], tuple[Tensor, Tensor]]
"""The weights and bias of the node at a position."""

Activate = Callable[[int, Tensor], Tensor]
"""What becomes of the value of an index before others read it."""


_SEED, _THREADS = 6, 1


@contextmanager
def repeatable(torch: Any) -> Iterator[None]:
    """What is learned inside is the same every time: one thread, one seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    torch.manual_seed(_SEED)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fake_quantized(torch: Any, x: Tensor, scale: Tensor | float, low: int, high: int) -> Tensor:
    """x on the multiples of `scale` from `low` to `high`; gradients pass through the rounding, and reach the scale."""
    steps = x / scale
    return (steps + (torch.round(steps) - steps).detach()).clamp(low, high) * scale


def relative_error(got: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error in units of the variance."""
    return ((got - wanted) ** 2).mean() / (wanted.var() + 1e-12)


class TorchNetwork:
    """Runs the graph node by node on tensors (N, ...) in the graph's own layout, channels last."""

    def __init__(self, torch: Any, graph: Graph) -> None:
        self._torch = torch
        self._graph = graph
        self._constants = {
            i: torch.from_numpy(value.constant.copy())
            for i, value in enumerate(graph.values)
            if value.role is Role.CONSTANT and value.type.dtype is DType.FLOAT32
        }
        missing = sorted({node.op.name for node in graph.nodes if self._rule(node.op) is None})
        if missing:
            raise UnsupportedOp(f"Learning does not know {', '.join(missing)}.")

    def float_weights(self, position: int) -> tuple[Tensor, Tensor]:
        """The graph's own weights and bias."""
        _, weights, bias = self._graph.nodes[position].inputs
        assert weights is not None
        assert bias is not None
        return self._constants[weights], self._constants[bias]

    def run(
        self, inputs: list[Tensor], weights: Weights | None = None, activate: Activate = lambda index, x: x
    ) -> dict[int, Tensor]:
        """Every value of the graph, by index."""
        values: dict[int, Tensor] = {**self._constants}
        for index, x in zip(self._graph.inputs, inputs, strict=True):
            values[index] = activate(index, x)
        for position, (node, site) in enumerate(zip(self._graph.nodes, self._graph.sites, strict=True)):
            rule = self._rule(node.op)
            assert rule is not None
            operands = [None if i is None else values[i] for i in node.inputs]
            if isinstance(node.op, _WEIGHTED):
                operands = [operands[0], *(weights or self.float_weights)(position)]
            result = rule(self._torch, site, operands)
            values[node.outputs[0]] = activate(node.outputs[0], result)
        return values

    def _rule(self, op: Operator) -> Rule | None:
        return next((rule for kinds, rule in _RULES if isinstance(op, kinds)), None)


Rule = Callable[[Any, Site, list[Tensor]], Tensor]

_WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected)


def clamp(torch: Any, x: Tensor, activation: Activation) -> Tensor:
    """A fused activation."""
    if activation is Activation.NONE:
        return x
    return torch.clamp(x, *BOUNDS[activation])


def _padded(torch: Any, x: Tensor, rows: Axis, columns: Axis, fill: float = 0.0) -> Tensor:
    """x (N, C, H, W) framed as windows reach beyond it; cut where they do not reach its end."""
    (top, bottom), (left, right) = rows.overhang, columns.overhang
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=fill) if top + bottom + left + right else x


def _convolution(torch: Any, site: Site, operands: list[Tensor]) -> Tensor:
    op = site.op
    assert isinstance(op, WindowConvolution)
    x, weights, bias = operands
    rows, columns = op.axes(site)
    if isinstance(op, DepthwiseConv2D):
        kernel, groups = weights.permute(3, 0, 1, 2), x.shape[3]
    else:
        kernel, groups = weights.permute(0, 3, 1, 2), x.shape[3] // weights.shape[3]
    sums = torch.nn.functional.conv2d(
        _padded(torch, x.permute(0, 3, 1, 2), rows, columns),
        kernel,
        bias.reshape(-1),
        (rows.stride, columns.stride),
        0,
        (rows.dilation, columns.dilation),
        groups,
    )
    return clamp(torch, sums.permute(0, 2, 3, 1), op.activation)


def _fully_connected(torch: Any, site: Site, operands: list[Tensor]) -> Tensor:
    op = site.op
    assert isinstance(op, FullyConnected)
    x, weights, bias = operands
    sums = torch.nn.functional.linear(x.reshape(-1, weights.shape[1]), weights, bias.reshape(-1))
    return clamp(torch, sums.reshape(len(x), *site.output().type.shape[1:]), op.activation)


def _pool(torch: Any, site: Site, operands: list[Tensor]) -> Tensor:
    op, functions = site.op, torch.nn.functional
    assert isinstance(op, Pool2D)
    rows, columns = op.axes(site)
    x = operands[0].permute(0, 3, 1, 2)
    size, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
    if isinstance(op, MaxPool2D):
        pooled = functions.max_pool2d(_padded(torch, x, rows, columns, float("-inf")), size, stride)
    else:
        ones = _padded(torch, torch.ones_like(x[:1, :1]), rows, columns)
        sums = functions.avg_pool2d(_padded(torch, x, rows, columns), size, stride)
        pooled = sums / functions.avg_pool2d(ones, size, stride)
    return clamp(torch, pooled.permute(0, 2, 3, 1), op.activation)


def _batch_shaped(torch: Any, site: Site, operands: list[Tensor]) -> Tensor:
    return operands[0].reshape(len(operands[0]), *site.output().type.shape[1:])


def _pad(torch: Any, site: Site, operands: list[Tensor]) -> Tensor:
    assert isinstance(site.op, Pad)
    flat = [count for pair in reversed(site.op.paddings) for count in pair]
    return torch.nn.functional.pad(operands[0], flat)


def _activated(function: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    """A function of two operands and its fused activation."""
    return lambda torch, site, x: clamp(torch, function(x[0], x[1]), cast(Any, site.op).activation)


def _with(function: Callable[[Any, Any, Tensor], Tensor]) -> Rule:
    """A function of torch, the operator and its one operand."""
    return lambda torch, site, x: function(torch, site.op, x[0])


_RULES: tuple[tuple[tuple[type[Operator], ...], Rule], ...] = (
    ((Conv2D, DepthwiseConv2D), _convolution),
    ((FullyConnected,), _fully_connected),
    ((AveragePool2D, MaxPool2D), _pool),
    ((Reshape, Squeeze, ExpandDims), _batch_shaped),
    ((Pad,), _pad),
    ((Add,), _activated(operator.add)),
    ((Sub,), _activated(operator.sub)),
    ((Mul,), _activated(operator.mul)),
    ((Relu,), _with(lambda torch, op, x: torch.clamp(x, 0))),
    ((Relu6,), _with(lambda torch, op, x: torch.clamp(x, 0, 6))),
    ((LeakyRelu,), _with(lambda torch, op, x: torch.nn.functional.leaky_relu(x, op.alpha))),
    ((HardSwish,), _with(lambda torch, op, x: torch.nn.functional.hardswish(x))),
    ((Logistic,), _with(lambda torch, op, x: torch.sigmoid(x))),
    ((Tanh,), _with(lambda torch, op, x: torch.tanh(x))),
    ((Softmax,), _with(lambda torch, op, x: torch.softmax(op.beta * x, -1))),
    ((Mean,), lambda torch, site, x: x[0].mean(_axes(site), keepdim=cast(Mean, site.op).keep_dims)),
    ((Concatenation,), lambda torch, site, x: torch.cat(x, cast(Concatenation, site.op).axis)),
)
"""What each operator computes."""


def _axes(site: Site) -> tuple[int, ...]:
    return cast(Mean, site.op).reduced(site)
