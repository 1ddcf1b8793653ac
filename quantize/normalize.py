"""A float graph made ready for integers: what can be folded is folded, and every layer with weights has a bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Site, constant
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.pool_2d import AveragePool2D
from thimble.compiler.ops.reduce import Mean
from thimble.compiler.ops.support import is_plain
from thimble.compiler.passes.draft import Draft
from thimble.compiler.passes.float_pipeline import prepare
from thimble.quantize.weights import channel_axis, has_weights


def normalize(graph: Graph) -> Graph:
    """The same function of float32 numbers in fewer nodes, with a bias for the correction of errors to move."""
    draft = Draft(_with_means(_fold_constants(prepare(graph))))
    for position in draft.positions:
        site, node = draft.site(position), draft.node(position)
        if not has_weights(site) or site.has_input(2) or site.output().type.dtype is not DType.FLOAT32:
            continue
        channels = site.input(1).type.shape[channel_axis(site)]
        type_ = TensorType((channels,), DType.FLOAT32)
        bias = draft.add(constant(f"{site.output().name}/bias", np.zeros(channels, np.float32), type_))
        draft.nodes[position] = replace(node, inputs=(*node.inputs[:2], bias))
    return draft.finish()


def _with_means(graph: Graph) -> Graph:
    """Average pools over whole images as MEAN, which has a scale of its own: means are far smaller than what they are
    taken of, and a pool would give them the same scale."""
    draft = Draft(graph)
    for position in draft.positions:
        site, node = draft.site(position), draft.node(position)
        if isinstance(site.op, AveragePool2D) and _is_mean(site.op, site):
            draft.nodes[position] = replace(node, op=Mean((1, 2), keep_dims=True))
    return draft.finish()


def _is_mean(op: AveragePool2D, site: Site) -> bool:
    """Whether a pool of float numbers makes one pixel of all that its input has."""
    return (
        op.activation is Activation.NONE
        and site.output().type.dtype is DType.FLOAT32
        and all(axis.is_global for axis in op.axes(site))
    )


def _fold_constants(graph: Graph) -> Graph:
    """Compute float nodes that read constants alone: no sample would ever calibrate them."""
    draft = Draft(graph)
    for position in draft.positions:
        site, node = draft.site(position), draft.node(position)
        present = [value for value in site.inputs if value is not None]
        computed = [value for value in present if value.role is not Role.CONSTANT]
        if not present or computed or set(node.outputs).intersection(graph.outputs) or not is_plain(site):
            continue
        arrays = [np.zeros(0, np.int8) if value is None else value.constant for value in site.inputs]
        for index, result in zip(node.outputs, site.op.float_reference(site, arrays), strict=True):
            value = draft.values[index]
            draft.values[index] = constant(value.name, result.reshape(value.type.shape), value.type)
        draft.nodes[position] = None
    return draft.finish()
