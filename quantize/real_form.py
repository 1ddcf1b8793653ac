"""An integer graph as the real numbers that it stands for: what precision is searched on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp, quoted
from thimble.compiler.ir.graph import Graph, Node, Site, Value, constant, verify
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.pad import PadV2
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reshape import Reshape


def real_form(graph: Graph) -> Graph:
    """The same nodes and values on float32 numbers, constants as what their integers stand for.

    Conversions between integers, or between integers and floats, become reshapes to the same shape. Rounding and
    saturation of activations are gone; fused activations are still there. Raises UnsupportedOp for a model with state
    or without integers.
    """
    if graph.states:
        raise UnsupportedOp("The precision of a model with state cannot be searched yet.")
    if not any(value.type.quant is not None and value.data is None for value in graph.values):
        raise UnsupportedOp("The model holds no quantized integers whose precision could be searched.")
    values = tuple(_real_value(value) for value in graph.values)
    nodes = tuple(_real_node(node, site) for node, site in zip(graph.nodes, graph.sites, strict=True))
    result = replace(graph, values=values, nodes=nodes, specialise=None)
    verify(result)
    return result


def real_numbers(data: Array, quant: QuantParams) -> Array:
    """The float32 numbers that integers stand for, with one scale or one for each slice of an axis."""
    shape = [1] * data.ndim
    if not quant.per_tensor:
        shape[quant.axis] = -1
    scales, zeros = np.array(quant.scales).reshape(shape), np.array(quant.zero_points).reshape(shape)
    return np.asarray((data.astype(np.float64) - zeros) * scales, np.float32)


def _real_value(value: Value) -> Value:
    quant = value.type.quant
    if quant is None:
        return value
    kind = TensorType(value.type.shape, DType.FLOAT32)
    if value.data is None:
        return replace(value, type=kind)
    return constant(value.name, real_numbers(value.data, quant), kind)


def _real_node(node: Node, site: Site) -> Node:
    return replace(node, op=_real_operator(node.op, site))


def _real_operator(op: Operator, site: Site) -> Operator:
    if isinstance(op, Quantize | Dequantize):
        return Reshape(site.output().type.shape)
    if isinstance(op, PadV2) and site.output().type.quant is not None:
        quant = site.output().quant
        return replace(op, value=float((op.value - quant.zero_point) * quant.scale))
    if any(v is not None and v.type.dtype is DType.INT32 and v.data is None for v in site.inputs):
        raise UnsupportedOp(f"{site.source} computes with 32-bit integers, {quoted(op.name)}; it has no real form.")
    return op
