"""Changes of a TFLite file in place, for reference runtimes: the rest of the file stays as it was given."""

from __future__ import annotations

import struct

from flatbuffers.table import Table
from tflite.Model import Model
from tflite.Operator import Operator
from tflite.SubGraph import SubGraph

from thimble.compiler.importers.tflite.file import read_model
from thimble.compiler.importers.tflite.schema import BuiltinOperator

_OPERATOR_INPUTS_SLOT = 6  # of Operator.inputs in its table (schema.fbs: the second field)
_GRAPH_OUTPUTS_SLOT = 8  # of SubGraph.outputs (the third field)
_GRAPH_OPERATORS_SLOT = 10  # of SubGraph.operators (the fourth field)


def without_absent_biases(model: bytes) -> bytes:
    """The file with depthwise convolutions of two inputs where they have three of which the bias is absent (-1).

    The two mean the same; TFLite Micro reads an absent tensor there as if it were one, and dies of it.
    """
    edited = bytearray(model)
    for index, operator in enumerate(read_model(model).subgraphs[0].operators):
        if operator.code == BuiltinOperator.DEPTHWISE_CONV_2D and operator.inputs[2:] == (None,):
            table = _operator(_main_graph(edited), index)._tab
            _set_indices(edited, table, _OPERATOR_INPUTS_SLOT, [i for i in operator.inputs if i is not None])
    return bytes(edited)


def first_operators(model: bytes, count: int) -> bytes:
    """The file with the first `count` operators alone (at least 1), the last one's first output as the model's own."""
    edited = bytearray(model)
    table = _main_graph(edited)._tab
    outputs = [i for operator in read_model(model).subgraphs[0].operators[:count] for i in operator.outputs[:1]]
    struct.pack_into("<I", edited, table.Vector(table.Offset(_GRAPH_OPERATORS_SLOT)) - 4, count)
    _set_indices(edited, table, _GRAPH_OUTPUTS_SLOT, outputs[-1:])
    return bytes(edited)


def _main_graph(model: bytearray) -> SubGraph:
    graph = Model.GetRootAs(model, 0).Subgraphs(0)
    assert graph is not None  # the file was read before
    return graph


def _operator(graph: SubGraph, index: int) -> Operator:
    operator = graph.Operators(index)
    assert operator is not None
    return operator


def _set_indices(model: bytearray, table: Table, slot: int, indices: list[int]) -> None:
    """Point a table's vector of tensor indices to a new one at the end of the file; the old one may be shared."""
    model += bytes(-len(model) % 4)
    field = table.Pos + table.Offset(slot)
    struct.pack_into("<I", model, field, len(model) - field)
    model += struct.pack(f"<I{len(indices)}i", len(indices), *indices)
