"""Mutants of ONNX files: each must be taken, or refused with one clear sentence, within bounds of time and memory."""

from __future__ import annotations

import time
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

from tests.onnx.models import cnn
from tests.onnx.node_tests import model_of, node_cases
from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.importers.onnx.decoders import DECODERS
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.passes.float_pipeline import prepare


@cache
def seeds() -> list[bytes]:
    """The bytes of sound models."""
    small = [model_of(case).SerializeToString() for case in node_cases()]
    return [cnn(np.random.default_rng(0)).SerializeToString(), *(data for data in small if len(data) < 3000)]


def mutant(seed: int) -> bytes:
    """A seed model with some bytes changed, cut out, doubled or set to values that mean much in protobuf."""
    rng = np.random.default_rng(seed)
    data = bytearray(seeds()[int(rng.integers(len(seeds())))])
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(data)))
        kind = int(rng.integers(5))
        if kind == 0:
            data[at] = int(rng.integers(256))
        elif kind == 1:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[at : at + 1] = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))])
        elif kind == 3:
            del data[at : at + int(rng.integers(1, 9))]
        else:
            data[at:at] = data[at : at + int(rng.integers(1, 9))]
        if not data:
            return b""
    return bytes(data)


def field_mutant(seed: int) -> bytes:
    """A seed model with some of its fields changed: attributes, sizes, types, names, data."""
    rng = np.random.default_rng(seed)
    model = onnx.load_from_string(seeds()[int(rng.integers(len(seeds())) if rng.random() < 0.7 else 0)])
    for _ in range(int(rng.integers(1, 4))):
        _CHANGES[int(rng.integers(len(_CHANGES)))](rng, model.graph)
    return model.SerializeToString()


def _number(rng: np.random.Generator) -> int:
    """A number at which something may break."""
    return int(rng.choice([-(2**63), -(2**31), -7, -2, -1, 0, 1, 2, 3, 5, 100, 2**16, 2**31 - 1, 2**31, 2**63 - 1]))


def _any(rng: np.random.Generator, items: Any) -> Any:
    return items[int(rng.integers(len(items)))] if len(items) else None


def _change_attribute(rng: np.random.Generator, graph: onnx.GraphProto) -> None:
    node = _any(rng, graph.node)
    attribute = None if node is None else _any(rng, node.attribute)
    if attribute is None:
        return
    if len(attribute.ints):
        attribute.ints[int(rng.integers(len(attribute.ints)))] = _number(rng)
        if rng.random() < 0.3:
            attribute.ints.append(_number(rng))
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = _number(rng)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = float(rng.choice([0, -1, np.nan, np.inf, 1e30]))
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = _any(rng, [b"", b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"linear", b"cubic", b"x"])
    if rng.random() < 0.1:
        attribute.type = int(rng.integers(12))  # type: ignore[assignment]


def _change_constant(rng: np.random.Generator, graph: onnx.GraphProto) -> None:
    tensor = _any(rng, graph.initializer)
    if tensor is None:
        return
    kind = int(rng.integers(3))
    if kind == 0 and len(tensor.dims):
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _number(rng)
    elif kind == 1:
        tensor.data_type = int(rng.integers(26))
    else:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]


def _change_input(rng: np.random.Generator, graph: onnx.GraphProto) -> None:
    value = _any(rng, graph.input)
    if value is None:
        return
    kind = value.type.tensor_type
    dim = _any(rng, kind.shape.dim)
    if dim is not None and rng.random() < 0.7:
        dim.dim_value = _number(rng)
    elif rng.random() < 0.5:
        kind.elem_type = int(rng.integers(26))
    else:
        kind.shape.dim.add().dim_value = _number(rng)


def _change_names(rng: np.random.Generator, graph: onnx.GraphProto) -> None:
    node, other = _any(rng, graph.node), _any(rng, graph.node)
    if node is None:
        return
    if rng.random() < 0.4:
        node.op_type = _any(rng, sorted(DECODERS))
    elif len(node.input) and len(other.input):
        node.input[int(rng.integers(len(node.input)))] = _any(rng, other.input)
    if rng.random() < 0.2 and len(node.input):
        del node.input[-1]


def _bind_input(rng: np.random.Generator, graph: onnx.GraphProto) -> None:
    """An input becomes a constant of small numbers, as shapes and axes are."""
    value = _any(rng, graph.input)
    if value is None or value.type.tensor_type.elem_type not in (onnx.TensorProto.INT64, onnx.TensorProto.FLOAT):
        return
    dims = [min(abs(d.dim_value), 8) for d in value.type.tensor_type.shape.dim]
    kind = np.int64 if value.type.tensor_type.elem_type == onnx.TensorProto.INT64 else np.float32
    numbers = np.array([_number(rng) if rng.random() < 0.2 else rng.integers(-2, 5) for _ in range(int(np.prod(dims)))])
    graph.initializer.append(onnx.numpy_helper.from_array(numbers.astype(kind).reshape(dims), value.name))
    graph.input.remove(value)


_CHANGES = (_change_attribute, _change_attribute, _change_constant, _change_input, _change_names, _bind_input)


def judge(data: bytes) -> tuple[str, str, float]:
    """The outcome (taken, refused or malformed), the message, and the seconds that it took."""
    start = time.process_time()
    try:
        prepare(import_onnx(data, "mutant"))
        outcome, message = "taken", ""
    except MalformedModel as error:
        outcome, message = "malformed", str(error)
    except UnsupportedOp as error:
        outcome, message = "refused", max((str(error), *error.blockers), key=len)
    return outcome, message, time.process_time() - start


def peak_bytes(data: bytes) -> int:
    """Most memory that numpy and Python held at once while judging a mutant."""
    tracemalloc.start()
    try:
        judge(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
