"""How each operator is said in ONNX, on real numbers; windows want their channels first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thimble.compiler.exporters.onnx.draft import Layout, OnnxDraft, unsupported
from thimble.compiler.ir.graph import Node, Role, Site
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.activation import BOUNDS, Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad
from thimble.compiler.ops.pool_2d import MaxPool2D, Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Mean, ReduceMax, Sum
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.window import Axis

_FIRST, _LAST = Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST


def write_operator(draft: OnnxDraft, node: Node, site: Site) -> None:
    """Add an operator's ONNX nodes. Raises UnsupportedOp where it has none."""
    for kind, write in _WRITERS:
        if isinstance(site.op, kind):
            write(draft, node, site)
            return
    raise unsupported(site.source, site.op.name)


def _source(node: Node, position: int = 0) -> int:
    index = node.inputs[position]
    assert index is not None
    return index


def _activated(draft: OnnxDraft, tensor: str, activation: Activation, name: str) -> str:
    """The tensor behind its fused activation."""
    if activation is Activation.NONE:
        return tensor
    if activation is Activation.RELU:
        return draft.node("Relu", [tensor], f"{name}/relu")
    low, high = BOUNDS[activation]
    limits = [draft.constant(f"{name}/{what}", np.array(x, np.float32)) for what, x in (("low", low), ("high", high))]
    return draft.node("Clip", [tensor, *limits], f"{name}/clip")


def _pads(rows: Axis, columns: Axis) -> list[int]:
    (top, bottom), (left, right) = rows.overhang, columns.overhang
    return [top, left, bottom, right]


def _bias(draft: OnnxDraft, site: Site) -> list[str]:
    if not site.has_input(2):
        return []
    bias = site.input(2)
    return [draft.dequantized(bias, bias.constant.reshape(-1), bias.quant)]


def _convolution(draft: OnnxDraft, node: Node, site: Site) -> None:
    op, weights, name = site.op, site.input(1), site.output().name
    assert isinstance(op, WindowConvolution)
    rows, columns = op.axes(site)
    depthwise = isinstance(op, DepthwiseConv2D)
    order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)  # to (O, C / groups, KH, KW)
    groups = site.input(0).type.shape[3] // (1 if depthwise else weights.type.shape[3])
    kernel = draft.dequantized(weights, weights.constant.transpose(order), weights.quant)
    result = draft.node(
        "Conv",
        [draft.real(_source(node), _FIRST), kernel, *_bias(draft, site)],
        f"{name}/sums",
        group=groups,
        kernel_shape=[rows.kernel, columns.kernel],
        strides=[rows.stride, columns.stride],
        dilations=[rows.dilation, columns.dilation],
        pads=_pads(rows, columns),
    )
    draft.put(node.outputs[0], _activated(draft, result, op.activation, name), _FIRST)


def _fully_connected(draft: OnnxDraft, node: Node, site: Site) -> None:
    op, weights, output = site.op, site.input(1), site.output()
    assert isinstance(op, FullyConnected)
    if weights.role is not Role.CONSTANT:
        raise unsupported(site.source, "a product with computed weights")
    rows = draft.real(_source(node))
    if len(site.input(0).type.shape) != 2 or site.input(0).type.shape[1] != weights.type.shape[1]:
        shape = draft.constant(f"{output.name}/rows", np.array([-1, weights.type.shape[1]], np.int64))
        rows = draft.node("Reshape", [rows, shape], f"{output.name}/flat")
    matrix = draft.dequantized(weights, weights.constant, weights.quant)
    result = draft.node("Gemm", [rows, matrix, *_bias(draft, site)], f"{output.name}/sums", transB=1)
    if len(output.type.shape) != 2:
        result = _reshaped(draft, result, output.type.shape, output.name)
    draft.put(node.outputs[0], _activated(draft, result, op.activation, output.name))


def _reshaped(draft: OnnxDraft, tensor: str, shape: tuple[int, ...], name: str) -> str:
    return draft.node("Reshape", [tensor, draft.constant(f"{name}/shape", np.array(shape, np.int64))], f"{name}/shaped")


def _pool(draft: OnnxDraft, node: Node, site: Site) -> None:
    op, name = site.op, site.output().name
    assert isinstance(op, Pool2D)
    rows, columns = op.axes(site)
    result = draft.node(
        "MaxPool" if isinstance(op, MaxPool2D) else "AveragePool",
        [draft.real(_source(node), _FIRST)],
        f"{name}/pooled",
        kernel_shape=[rows.kernel, columns.kernel],
        strides=[rows.stride, columns.stride],
        pads=_pads(rows, columns),
    )
    draft.put(node.outputs[0], _activated(draft, result, op.activation, name), _FIRST)


def _binary(kind: str) -> Callable[[OnnxDraft, Node, Site], None]:
    """An operator of two operands, in the layout that its operands have where both have rank 4."""

    def write(draft: OnnxDraft, node: Node, site: Site) -> None:
        name = site.output().name
        computed = [i for i in node.inputs if i is not None and draft.graph.values[i].role is not Role.CONSTANT]
        rank4 = all(len(site.input(p).type.shape) in (0, 4) or site.input(p).type.elements == 1 for p in (0, 1))
        layout = _FIRST if rank4 and any(draft.held(i) is _FIRST for i in computed) else _LAST
        operands = [draft.real(_source(node, p), layout) for p in (0, 1)]
        result = draft.node(kind, operands, f"{name}/result")
        activation = getattr(site.op, "activation", Activation.NONE)
        draft.put(node.outputs[0], _activated(draft, result, activation, name), layout)

    return write


def _unary(kind: str, attributes: Callable[[Any], dict[str, Any]] = lambda op: {}) -> Any:
    """An operator of one operand that works on each element alone, in whatever layout the operand has."""

    def write(draft: OnnxDraft, node: Node, site: Site) -> None:
        layout = draft.held(_source(node))
        operand = draft.real(_source(node), layout)
        result = draft.node(kind, [operand], f"{site.output().name}/result", **attributes(site.op))
        draft.put(node.outputs[0], result, layout)

    return write


def _relu6(draft: OnnxDraft, node: Node, site: Site) -> None:
    layout = draft.held(_source(node))
    result = _activated(draft, draft.real(_source(node), layout), Activation.RELU6, site.output().name)
    draft.put(node.outputs[0], result, layout)


def _quantize(draft: OnnxDraft, node: Node, site: Site) -> None:
    layout = draft.held(_source(node))
    draft.put(node.outputs[0], draft.real(_source(node), layout), layout)


def _relabel(draft: OnnxDraft, node: Node, site: Site) -> None:
    result = _reshaped(draft, draft.real(_source(node)), site.output().type.shape, site.output().name)
    draft.put(node.outputs[0], result)


def _softmax(draft: OnnxDraft, node: Node, site: Site) -> None:
    assert isinstance(site.op, Softmax)
    operand, name = draft.real(_source(node)), site.output().name
    if site.op.beta != 1:
        operand = draft.node(
            "Mul", [operand, draft.constant(f"{name}/beta", np.array(site.op.beta, np.float32))], f"{name}/scaled"
        )
    draft.put(node.outputs[0], draft.node("Softmax", [operand], f"{name}/result", axis=-1))


def _reduction(kind: str, since: int) -> Callable[[OnnxDraft, Node, Site], None]:
    """A reduction whose axes are an input since some opset, an attribute before; images stay in their layout."""

    def write(draft: OnnxDraft, node: Node, site: Site) -> None:
        op: Any = site.op
        kept = op.keep_dims and draft.held(_source(node)) is _FIRST
        layout = _FIRST if kept else _LAST
        axes = [layout.value.index(axis) if kept else axis for axis in op.reduced(site)]
        operands, attributes = [draft.real(_source(node), layout)], {"keepdims": int(op.keep_dims)}
        name = site.output().name
        if draft.opset < since:
            result = draft.node(kind, operands, f"{name}/result", axes=axes, **attributes)
        else:
            operands.append(draft.constant(f"{name}/axes", np.array(axes, np.int64)))
            result = draft.node(kind, operands, f"{name}/result", **attributes)
        draft.put(node.outputs[0], result, layout)

    return write


def _concatenation(draft: OnnxDraft, node: Node, site: Site) -> None:
    assert isinstance(site.op, Concatenation)
    rank = len(site.output().type.shape)
    first = rank == 4 and all(draft.held(_source(node, p)) is _FIRST for p in range(len(node.inputs)))
    layout, axis = (_FIRST if first else _LAST), site.op.axis % rank
    operands = [draft.real(_source(node, p), layout) for p in range(len(node.inputs))]
    placed = layout.value.index(axis) if first else axis
    draft.put(node.outputs[0], draft.node("Concat", operands, f"{site.output().name}/joined", axis=placed), layout)


def _pad(draft: OnnxDraft, node: Node, site: Site) -> None:
    assert isinstance(site.op, Pad)
    layout = draft.held(_source(node)) if len(site.output().type.shape) == 4 else _LAST
    pairs = site.op.paddings if layout is _LAST else tuple(site.op.paddings[axis] for axis in layout.value)
    pads = np.array([before for before, _ in pairs] + [after for _, after in pairs], np.int64)
    operands = [draft.real(_source(node), layout), draft.constant(f"{site.output().name}/pads", pads)]
    draft.put(node.outputs[0], draft.node("Pad", operands, f"{site.output().name}/padded"), layout)


def _transpose(draft: OnnxDraft, node: Node, site: Site) -> None:
    assert isinstance(site.op, Transpose)
    permutation = list(site.op.permutation)
    draft.put(
        node.outputs[0],
        draft.node("Transpose", [draft.real(_source(node))], f"{site.output().name}/moved", perm=permutation),
    )


_WRITERS: tuple[tuple[type[Operator], Callable[[OnnxDraft, Node, Site], None]], ...] = (
    (Conv2D, _convolution),
    (DepthwiseConv2D, _convolution),
    (FullyConnected, _fully_connected),
    (Pool2D, _pool),
    (Add, _binary("Add")),
    (Sub, _binary("Sub")),
    (Mul, _binary("Mul")),
    (Maximum, _binary("Max")),
    (Minimum, _binary("Min")),
    (Relu, _unary("Relu")),
    (Relu6, _relu6),
    (LeakyRelu, _unary("LeakyRelu", lambda op: {"alpha": op.alpha})),
    (HardSwish, _unary("HardSwish")),
    (Logistic, _unary("Sigmoid")),
    (Tanh, _unary("Tanh")),
    (Quantize, _quantize),
    (Relabel, _relabel),
    (Softmax, _softmax),
    (Mean, _reduction("ReduceMean", 18)),
    (Sum, _reduction("ReduceSum", 13)),
    (ReduceMax, _reduction("ReduceMax", 18)),
    (Concatenation, _concatenation),
    (Pad, _pad),
    (Transpose, _transpose),
)
