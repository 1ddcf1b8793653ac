"""An ONNX file parsed and checked as far as one can without knowing its operators."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError, Message
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from thimble.compiler.importers.onnx.tensors import embed
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, quoted

MIN_OPSET, MAX_OPSET = 7, 28
"""Of the default domain: what the node tests of the onnx package cover."""

MAX_NODES = 1 << 12
"""Nodes of a model, with those of the functions that it calls: far above any network for microcontrollers."""

_DEFAULT_DOMAINS = ("", "ai.onnx")


def read_model(data: bytes) -> ModelProto:
    """Parse the file; raises MalformedModel where it is no ONNX model, UnsupportedOp for an opset out of range."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError, RecursionError) as error:
        raise MalformedModel("The file is not an ONNX model, or it is truncated or damaged.") from error
    _check_text(model)
    if not model.HasField("graph") or not model.graph.output:
        raise MalformedModel("The file holds no graph with outputs; it is not a usable ONNX model.")
    check_opset(opsets(model).get("", MIN_OPSET))
    _check_names(model.graph)
    return model


def _check_text(message: Message) -> None:
    """Raise MalformedModel where a text is no UTF-8: protobuf hands it out as bytes then."""
    for field, value in message.ListFields():
        if field.message_type is None and field.type != field.TYPE_STRING:
            continue
        for part in value if field.is_repeated else (value,):
            if isinstance(part, Message):
                _check_text(part)
            elif isinstance(part, bytes):
                raise MalformedModel(f"The file holds a text in its field {field.name} that is no UTF-8.")


def opsets(model: ModelProto) -> dict[str, int]:
    """The operator set version of each domain, "" for the default one."""
    return {("" if o.domain in _DEFAULT_DOMAINS else o.domain): int(o.version) for o in model.opset_import}


def domain_of(node: NodeProto) -> str:
    """The operator domain of a node, "" for the default one."""
    return "" if node.domain in _DEFAULT_DOMAINS else node.domain


def check_opset(version: int) -> None:
    """Raise UnsupportedOp unless the operators of this version are known."""
    if not MIN_OPSET <= version <= MAX_OPSET:
        raise UnsupportedOp(f"The model uses opset {version}; Thimble takes {MIN_OPSET} to {MAX_OPSET}: convert it.")


def _check_names(graph: GraphProto) -> None:
    """Values must have one writer each, and every value read must be written before."""
    if len(graph.node) > MAX_NODES:
        raise MalformedModel(f"The graph has {len(graph.node)} nodes; at most {MAX_NODES} are possible.")
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer} | {""}
    written = {value.name for value in graph.input}
    if len(written) != len(graph.input):
        raise MalformedModel("The graph names one value twice among its inputs.")
    for position, node in enumerate(graph.node):
        where = source_of(node, position)
        for name in node.input:
            if name not in known:
                raise MalformedModel(f"{where} reads {quoted(name)} before anything writes it.")
        for name in node.output:
            if name and name in known:
                raise MalformedModel(f"{where} writes {quoted(name)}, which has a writer already.")
            known.add(name)
    for value in graph.output:
        if not value.name or value.name not in known:
            raise MalformedModel(f"Output {quoted(value.name)} is never written.")


def source_of(node: NodeProto, position: int) -> str:
    """How messages name a node: its position, operator and name."""
    label = f" {quoted(node.name)}" if node.name else ""
    kind = node.op_type if node.op_type.isidentifier() and len(node.op_type) <= 40 else quoted(node.op_type)
    return f"node {position} ({kind}){label}"


def self_contained(data: bytes, folder: Path) -> bytes:
    """The model with its external data in it; the very same bytes where it has none."""
    model = read_model(data)
    external = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    for tensor in external:
        embed(tensor, folder)
    return model.SerializeToString() if external else data
