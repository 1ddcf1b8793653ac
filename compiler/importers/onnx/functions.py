"""Operators that are defined by others: functions of the model itself, and those of the ONNX standard."""

from __future__ import annotations

from typing import cast

from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, TypeProto, helper

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.model_file import domain_of
from thimble.compiler.importers.onnx.signatures import schema_of
from thimble.compiler.ir.types import DType

MAX_DEPTH = 8
"""Functions that call functions."""

_CODES = {
    DType.FLOAT32: TensorProto.FLOAT,
    DType.INT8: TensorProto.INT8,
    DType.INT16: TensorProto.INT16,
    DType.INT32: TensorProto.INT32,
    DType.INT64: TensorProto.INT64,
    DType.UINT8: TensorProto.UINT8,
    DType.UINT16: TensorProto.UINT16,
    DType.UINT32: TensorProto.UINT32,
    DType.UINT64: TensorProto.UINT64,
    DType.BOOL: TensorProto.BOOL,
}


def model_functions(model: ModelProto) -> dict[tuple[str, str], FunctionProto]:
    """The functions that a model defines, by domain and name."""
    return {(function.domain, function.name): function for function in model.functions}


def standard_function(
    node: NodeProto, opset: int, inputs: tuple[Tensor | None, ...], builder: Builder
) -> FunctionProto | None:
    """The body that the ONNX standard gives an operator, for inputs of these types; None where it gives none."""
    schema = schema_of(node.op_type, opset, domain_of(node))
    if schema is None:
        return None
    if schema.has_function:
        return cast(FunctionProto, schema.function_body)
    if not schema.has_context_dependent_function:
        return None
    types = [b"" if t is None else _type_of(builder, t).SerializeToString() for t in inputs]
    try:
        body = schema.get_context_dependent_function(node.SerializeToString(), types)
    except Exception:  # the standard's own code raises many kinds where attributes make no sense
        return None
    function = FunctionProto()
    function.ParseFromString(body)
    return function if function.node else None


def _type_of(builder: Builder, tensor: Tensor) -> TypeProto:
    return helper.make_tensor_type_proto(_CODES[builder.dtype(tensor)], builder.shape(tensor))


def bound_attributes(node: NodeProto, call: NodeProto, function: FunctionProto) -> NodeProto:
    """A node of a function's body, its references to the function's attributes replaced by what the call gives."""
    given = {attribute.name: attribute for attribute in function.attribute_proto}
    given.update({attribute.name: attribute for attribute in call.attribute})
    bound = NodeProto()
    bound.CopyFrom(node)
    del bound.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            bound.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            value = AttributeProto()
            value.CopyFrom(given[attribute.ref_attr_name])
            value.name = attribute.name
            bound.attribute.append(value)
    return bound
