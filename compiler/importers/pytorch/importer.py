"""An exported program of PyTorch to a Graph, by way of ONNX: one importer decides layout, folding and limits."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.importers.pytorch.archive import Call, Program, read_program
from thimble.compiler.importers.pytorch.aten import DECODERS
from thimble.compiler.importers.pytorch.emitter import Decoder, Emitter, View
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, quoted
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.support import unsupported

OPSET = 21


def import_pytorch(data: bytes, name: str) -> Graph:
    """Read a .pt2 archive that torch.export.save wrote; PyTorch itself is not needed.

    `name` becomes the graph's. Raises MalformedModel for a damaged archive, and UnsupportedOp with every blocker in
    its `blockers` for a sound program that Thimble does not support.
    """
    return import_onnx(onnx_form(data), name)


def onnx_form(data: bytes) -> bytes:
    """The archive as the bytes of an ONNX model, which onnxruntime runs."""
    return as_onnx(read_program(data))


def as_onnx(program: Program) -> bytes:
    """The program as the bytes of an ONNX model."""
    emitter = Emitter(program)
    blockers = []
    for call in program.calls:
        try:
            _convert(call, emitter)
        except UnsupportedOp as error:
            blockers.append(str(error))
    if blockers:
        raise unsupported(blockers)
    constants = [numpy_helper.from_array(array, name) for name, array in program.constants.items()]
    inputs = [_value(program, name) for name in program.inputs]
    outputs = []
    for name in program.outputs:
        emitter.nodes.append(
            helper.make_node("Identity", [emitter.aliases.get(name, name)], [f"thimble.output.{name}"])
        )
        outputs.append(helper.make_tensor_value_info(f"thimble.output.{name}", TensorProto.FLOAT, None))
    graph = helper.make_graph(emitter.nodes, "program", inputs, outputs, [*constants, *emitter.constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    return bytes(model.SerializeToString())


def _convert(call: Call, emitter: Emitter) -> None:
    emitter.source = call.source
    made = _decoder(call)(View(call, emitter))
    if len(made) != len(call.outputs):
        raise MalformedModel(f"{call.source} has {len(call.outputs)} outputs; it makes {len(made)}.")
    emitter.aliases.update(zip(call.outputs, made, strict=True))


def _decoder(call: Call) -> Decoder:
    library, _, name = call.target.partition(".")
    operator, _, overload = name.partition(".")
    for candidate in (name, f"{operator.removesuffix('_')}.{overload}"):
        if library == "aten" and candidate in DECODERS:
            return DECODERS[candidate]
    raise UnsupportedOp(f"{call.source}: this operator is not supported; docs/onnx.md lists those that are.")


def _value(program: Program, name: str) -> ValueInfoProto:
    meta = program.metas.get(name)
    if meta is None:
        raise MalformedModel(f"Input {quoted(name)} has no shape.")
    code = helper.np_dtype_to_tensor_dtype(np.dtype(meta.dtype))
    return helper.make_tensor_value_info(name, code, list(meta.shape))
