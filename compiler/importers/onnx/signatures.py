"""What the ONNX standard says of an operator's operands: how many there are, and of which types."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from onnx import NodeProto, defs

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.model_file import domain_of
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.types import DType

_TYPE_NAMES: dict[DType, tuple[str, ...]] = {
    DType.FLOAT32: ("tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"),
    DType.INT8: ("tensor(int8)", "tensor(int4)", "tensor(int2)"),
    DType.UINT8: ("tensor(uint8)", "tensor(uint4)", "tensor(uint2)"),
}
"""The standard's names of what a DType stands for; others have the one of their own."""


@cache
def schema_of(operator: str, opset: int, domain: str) -> Any:
    """The standard's definition of an operator in an opset, None where it has none."""
    if not 0 < opset < 1 << 16:
        return None
    try:
        return defs.get_schema(operator, opset, domain)
    except defs.SchemaError:
        return None


def check_operands(node: NodeProto, source: str, opset: int, inputs: Sequence[Tensor | None], builder: Builder) -> None:
    """Raise MalformedModel where number or types of the inputs are not what the standard allows."""
    schema = schema_of(node.op_type, opset, domain_of(node))
    if schema is None:
        raise UnsupportedOp(f"{source}: there is no such operator in opset {opset}.")
    if not schema.min_input <= len(inputs) <= schema.max_input:
        raise MalformedModel(
            f"{source} has {len(inputs)} inputs; it takes {schema.min_input} to {min(schema.max_input, 9999)}."
        )
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    found: dict[str, DType] = {}
    for position, tensor in enumerate(inputs):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        if tensor is None:
            continue
        dtype = builder.dtype(tensor)
        names = _TYPE_NAMES.get(dtype, (f"tensor({dtype.value})",))
        if not allowed.get(formal.type_str, {formal.type_str}).intersection(names):
            raise MalformedModel(f"{source} has an input {position} of type {dtype.value}, which it does not take.")
        homogeneous = formal.type_str in allowed and formal.is_homogeneous
        if homogeneous and found.setdefault(formal.type_str, dtype) is not dtype:
            raise MalformedModel(f"{source} has inputs of the types {found[formal.type_str].value} and {dtype.value}.")
