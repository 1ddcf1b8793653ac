"""Mutations of a model's fields through the schema's object form: the file stays well formed, its meaning does not."""

from __future__ import annotations

import copy
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Rng = np.random.Generator
T = TypeVar("T")

INTEGERS = (0, 1, -1, 2, 3, 7, 16, 127, -128, 128, 255, 256, 32767, -32768, 65535, 65536, 1 << 20, 1 << 26, 1 << 30)
LIMITS = ((1 << 31) - 1, -(1 << 31), (1 << 31) - 2, (1 << 63) - 1, -(1 << 63), 1 << 31, 1 << 32)
FLOATS = (0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e38, 3.4e38, 1e-38, 1e-45, 1e30, 1e-30, 1e10, 1e-10)
FACTORS = (-1.0, 0.5, 2.0, 256.0, 1 / 256, 1.0000002, 65536.0, 2.0**31, 2.0**-31)
NAMES = (b"", b"x" * 5000, b"*/ int main(void) {", b"a\nb\x1b[31m", b"\xff\xfe\x00\x80", b"\xe2\x80\xae", b"\\")
_BAD_VALUE = (struct.error, OverflowError, TypeError, ValueError, AttributeError, AssertionError)
"""What writing a file raises where a field's type cannot hold its value."""
_NOTHING_THERE = (IndexError, KeyError, TypeError, ValueError, AttributeError)
"""What a mutation raises where the model has nothing of its kind, be it that an earlier one took it away."""


def mutate_fields(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """One to three random mutations; their names and the new file, the old one where none of 20 could be written."""
    for _ in range(20):
        model = schema.ModelT.InitFromPackedBuf(data)
        names = []
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
            try:
                mutation(rng, model)
            except _NOTHING_THERE:
                continue
            names.append(mutation.__name__.strip("_"))
        packed = _pack(model)
        if names and packed is not None:
            return "+".join(names), packed
    return "unchanged", data


def _pack(model: Any) -> bytes | None:
    builder = flatbuffers.Builder(1024)
    try:
        builder.Finish(model.Pack(builder), b"TFL3")
    except _BAD_VALUE:
        return None
    return bytes(builder.Output())


def _pick(rng: Rng, items: Any) -> Any:
    """A random item; IndexError where there is none."""
    return items[int(rng.integers(len(items)))] if len(items) else [][0]


def _graph(rng: Rng, model: Any) -> Any:
    return model.subgraphs[0] if rng.random() < 0.85 else _pick(rng, model.subgraphs)


def _tensor(rng: Rng, model: Any) -> Any:
    return _pick(rng, _graph(rng, model).tensors)


def _operator(rng: Rng, model: Any) -> Any:
    return _pick(rng, _graph(rng, model).operators)


def _integer(rng: Rng, old: int) -> int:
    near = (old + 1, old - 1, old * 2, -old, old // 2, int(rng.integers(-16, 17)))
    return int(_pick(rng, (INTEGERS, INTEGERS, LIMITS, near, near)[int(rng.integers(5))]))


def _real(rng: Rng, old: float) -> float:
    return float(_pick(rng, FLOATS)) if rng.random() < 0.5 else old * float(_pick(rng, FACTORS))


def _value(rng: Rng, old: Any) -> Any:
    """Another value of the same kind as `old`."""
    if isinstance(old, (bool, np.bool_)):
        return not old
    if isinstance(old, (int, np.integer)):
        return _integer(rng, int(old))
    if isinstance(old, (float, np.floating)):
        return _real(rng, float(old))
    if isinstance(old, bytes):
        return _pick(rng, NAMES)
    if isinstance(old, (list, np.ndarray)):
        return _list(rng, list(old))
    return None


def _list(rng: Rng, items: list[Any]) -> Any:
    """The list with an element changed, gone, twice or far too often; or reversed; or no list."""
    if not items:
        return [int(_pick(rng, INTEGERS))]
    at = int(rng.integers(len(items)))
    kind = int(rng.integers(10))
    if kind < 5:
        items[at] = items[at] if hasattr(items[at], "Pack") else _value(rng, items[at])
        return items
    if kind == 5:
        return items[:at] + items[at + 1 :]
    if kind == 6:
        return items[: at + 1] + items[at:]
    if kind == 7:
        return items[::-1]
    if kind == 8:
        return items * int(rng.choice([2, 3, 500]))
    return [] if rng.random() < 0.5 else None


def _walk(node: Any) -> Iterator[Any]:
    """Every table below a table, itself first."""
    yield node
    for value in vars(node).values():
        for item in value if isinstance(value, list) else [value]:
            if hasattr(item, "Pack"):
                yield from _walk(item)


def _any_field(rng: Rng, model: Any) -> None:
    table = _pick(rng, list(_walk(model)))
    _table_field(rng, table)


def _table_field(rng: Rng, table: Any) -> None:
    field = _pick(rng, sorted(vars(table)))
    setattr(table, field, _value(rng, getattr(table, field)))


def _one_changed(rng: Rng, items: list[T], change: Callable[[Rng, T], T]) -> list[T]:
    """The list with one of its elements changed."""
    at = int(rng.integers(len(items)))
    items[at] = change(rng, items[at])
    return items


def _dimension(rng: Rng, model: Any) -> None:
    tensor = _tensor(rng, model)
    tensor.shape = _one_changed(rng, [int(d) for d in tensor.shape], _integer)


def _all_dimensions(rng: Rng, model: Any) -> None:
    """One size replaced in every shape, so that the shapes may still agree; constants shrink or grow along."""
    tensors = _graph(rng, model).tensors
    old = _pick(rng, [int(d) for t in tensors if t.shape is not None for d in t.shape])
    new = int(rng.choice([1, old + 1, old * 2, old * 64, old * 4096]))
    for tensor in tensors:
        if tensor.shape is None or old not in tensor.shape:
            continue
        before = int(np.prod(tensor.shape, dtype=object))
        tensor.shape = [new if d == old else int(d) for d in tensor.shape]
        buffer = model.buffers[tensor.buffer]
        if buffer.data is not None and before and len(buffer.data) >= before:
            size = int(np.prod(tensor.shape, dtype=object)) * (len(buffer.data) // before)
            if size < 1 << 20:
                buffer.data = np.resize(np.asarray(buffer.data, np.uint8), size)


def _rank(rng: Rng, model: Any) -> None:
    tensor = _tensor(rng, model)
    shape = [int(d) for d in (tensor.shape if tensor.shape is not None else [])]
    ones = [1] * int(rng.choice([1, 2, 3, 100]))
    tensor.shape = _pick(rng, [ones + shape, shape + ones, shape[1:], shape[:-1], [], None, shape[::-1]])


def _element_type(rng: Rng, model: Any) -> None:
    _tensor(rng, model).type = int(rng.choice([0, 1, 2, 3, 4, 6, 7, 9, 9, 9, 13, 16, 17, 21, 127, -128]))


def _element_types(rng: Rng, model: Any) -> None:
    """One element type replaced everywhere; buffers keep their bytes."""
    tensors = _graph(rng, model).tensors
    old, new = int(_pick(rng, tensors).type), int(rng.choice([0, 2, 3, 4, 6, 7, 9]))
    for tensor in tensors:
        tensor.type = new if tensor.type == old else tensor.type


def _scale(rng: Rng, model: Any) -> None:
    quantization = _quantized(rng, model)
    quantization.scale = _one_changed(rng, [float(s) for s in quantization.scale], _real)


def _scales(rng: Rng, model: Any) -> None:
    """Every scale of the model that equals one of them, set to an extreme: equal quantizations stay equal."""
    old, factor = float(_quantized(rng, model).scale[0]), float(10 ** rng.uniform(-12, 12))
    for table in list(_walk(model)):
        if isinstance(table, schema.QuantizationParametersT) and table.scale is not None and len(table.scale):
            table.scale = [float(s) * factor if float(s) == old else float(s) for s in table.scale]


def _zero_point(rng: Rng, model: Any) -> None:
    quantization = _quantized(rng, model)
    quantization.zeroPoint = _one_changed(rng, [int(z) for z in quantization.zeroPoint], _integer)


def _quantization(rng: Rng, model: Any) -> None:
    """Taken away, given another tensor's, made per axis, or a field of it changed."""
    kind = int(rng.integers(4))
    if kind == 0:
        _tensor(rng, model).quantization = None
    elif kind == 1:
        _tensor(rng, model).quantization = copy.deepcopy(_tensor(rng, model).quantization)
    elif kind == 2:
        tensor = _tensor(rng, model)
        axis = int(rng.integers(len(tensor.shape)))
        count = min(max(int(tensor.shape[axis]), 1), 1000)
        quantization = tensor.quantization or schema.QuantizationParametersT()
        quantization.scale = [float(s) for s in 10 ** rng.uniform(-3, -1, count)]
        quantization.zeroPoint = [0] * int(rng.choice([count, 1, 0]))
        quantization.quantizedDimension = axis
        tensor.quantization = quantization
    else:
        _table_field(rng, _quantized(rng, model))


def _quantized(rng: Rng, model: Any) -> Any:
    tensors = _graph(rng, model).tensors
    tables = [t.quantization for t in tensors if t.quantization is not None]
    return _pick(rng, [q for q in tables if q.scale is not None and len(q.scale) and q.zeroPoint is not None])


def _contents(rng: Rng, model: Any) -> None:
    """Contents of a constant: cut, grown, gone, another buffer's, random, or one element of 32 bits changed."""
    tensor = _pick(rng, [t for t in _graph(rng, model).tensors if t.buffer])
    buffer = model.buffers[tensor.buffer]
    data = bytes(buffer.data) if buffer.data is not None else b""
    kind = int(rng.integers(7))
    if kind == 0:
        tensor.buffer = int(rng.choice([0, len(model.buffers), len(model.buffers) - 1, 0xFFFFFFFF]))
        return
    if kind == 1:
        data = data[: int(rng.integers(len(data) + 1))]
    elif kind == 2:
        data += bytes(int(rng.choice([1, 4, 100])))
    elif kind == 3:
        data = rng.bytes(len(data))
    elif kind == 4:
        data = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * len(data)
    elif kind == 5:
        buffer.offset, buffer.size = (int(rng.choice([0, 2, 16, 1 << 20, (1 << 63) - 1])) for _ in range(2))
        return
    elif len(data) >= 4:
        at = int(rng.integers(len(data) // 4)) * 4
        word = int(_pick(rng, INTEGERS + LIMITS[:3]))
        data = data[:at] + struct.pack("<i", word) + data[at + 4 :]
    buffer.data = np.frombuffer(data, np.uint8)


def _longer_constant(rng: Rng, model: Any) -> None:
    """A small constant, such as axes or sizes, that has too many entries but is consistent in itself."""
    tensors = [t for t in _graph(rng, model).tensors if t.buffer and t.shape is not None and len(t.shape)]
    tensor = _pick(rng, [t for t in tensors if model.buffers[t.buffer].data is not None])
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    times = int(rng.choice([2, 3, 500])) if len(data) < 1000 else 2
    tensor.shape = [int(tensor.shape[0]) * times, *(int(d) for d in tensor.shape[1:])]
    model.buffers[tensor.buffer].data = np.tile(data, times)


def _operand(rng: Rng, model: Any) -> None:
    """One tensor index of an operator changed, left out, or added."""
    graph = _graph(rng, model)
    operator = _pick(rng, graph.operators)
    field = str(rng.choice(["inputs", "inputs", "outputs", "intermediates"]))
    indices = [int(i) for i in (getattr(operator, field) if getattr(operator, field) is not None else [])]
    count = len(graph.tensors)
    index = int(rng.choice([-1, count, int(rng.integers(count)), int(rng.integers(count)), -2, (1 << 31) - 1]))
    at = int(rng.integers(len(indices) + 1))
    replaced = [*indices[:at], index, *indices[at + 1 :]]
    longer = [*indices[:at], index, *indices[at:]]
    setattr(operator, field, _pick(rng, [replaced, replaced, indices[:at], longer, None]))


def _interface(rng: Rng, model: Any) -> None:
    """The graph's inputs or outputs: another tensor, one twice, one more, none."""
    graph = _graph(rng, model)
    field = str(rng.choice(["inputs", "outputs"]))
    indices = [int(i) for i in (getattr(graph, field) if getattr(graph, field) is not None else [])]
    index = int(rng.choice([int(rng.integers(len(graph.tensors))), -1, len(graph.tensors)], p=[0.8, 0.1, 0.1]))
    longer, twice = [*indices, index], [*indices, *indices]
    setattr(graph, field, _pick(rng, [longer, twice, indices[1:], [index], [index, *indices], None]))


def _order(rng: Rng, model: Any) -> None:
    """Operators shuffled, one twice, one gone."""
    operators = _graph(rng, model).operators
    at = int(rng.integers(len(operators)))
    kind = int(rng.integers(3))
    if kind == 0:
        rng.shuffle(operators)
    elif kind == 1:
        operators.insert(int(rng.integers(len(operators) + 1)), copy.deepcopy(operators[at]))
    else:
        del operators[at]


def _builtin(rng: Rng, model: Any) -> None:
    """Another operator code, with the options of the old one; any of the schema, or one that the model has."""
    if rng.random() < 0.3:
        count = len(model.operatorCodes)
        _operator(rng, model).opcodeIndex = int(rng.choice([count, 1 << 31, int(rng.integers(count))]))
        return
    entry = _pick(rng, model.operatorCodes)
    entry.builtinCode = int(rng.choice([int(rng.integers(210)), int(rng.integers(210)), 127, 126, -1, (1 << 31) - 1]))
    entry.deprecatedBuiltinCode = min(max(entry.builtinCode, -128), 127)


def _options(rng: Rng, model: Any) -> None:
    """A field of the options changed, the options gone, or those of another operator."""
    operator = _pick(rng, [o for o in _graph(rng, model).operators if o.builtinOptions is not None])
    kind = int(rng.integers(8))
    if kind == 0:
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    elif kind == 1:
        operator.builtinOptionsType = int(rng.integers(0, 127))
    elif kind == 2:
        name = _pick(rng, [n for n in vars(schema.BuiltinOptions) if not n.startswith("_") and n != "NONE"])
        operator.builtinOptions = getattr(schema, f"{name}T")()
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    else:
        _table_field(rng, operator.builtinOptions)


def _same_fields(rng: Rng, model: Any) -> None:
    """Two fields of the options set to the same extreme, such as both strides."""
    operator = _pick(rng, [o for o in _graph(rng, model).operators if o.builtinOptions is not None])
    value = int(_pick(rng, INTEGERS + LIMITS))
    fields = [f for f in vars(operator.builtinOptions) if type(getattr(operator.builtinOptions, f)) is int]
    for _ in range(2):
        setattr(operator.builtinOptions, _pick(rng, fields), value)


def _variables(rng: Rng, model: Any) -> None:
    """Tensors become variables: one, or all of them."""
    tensors = _graph(rng, model).tensors
    for tensor in tensors if rng.random() < 0.3 else [_pick(rng, tensors)]:
        tensor.isVariable = not tensor.isVariable


def _call_once(rng: Rng, model: Any) -> None:
    """A CALL_ONCE to the graph itself, to another, or to one that is not there."""
    graph = _graph(rng, model)
    entry = schema.OperatorCodeT()
    entry.builtinCode = schema.BuiltinOperator.CALL_ONCE
    entry.deprecatedBuiltinCode = 127
    model.operatorCodes.append(entry)
    call = schema.OperatorT()
    call.opcodeIndex = len(model.operatorCodes) - 1
    call.inputs, call.outputs = [], []
    call.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
    call.builtinOptions = schema.CallOnceOptionsT()
    call.builtinOptions.initSubgraphIndex = int(rng.choice([0, 1, 2, -1, (1 << 31) - 1]))
    graph.operators.insert(int(rng.integers(len(graph.operators) + 1)), call)
    if rng.random() < 0.3:
        model.subgraphs.append(copy.deepcopy(graph))


def _name(rng: Rng, model: Any) -> None:
    _tensor(rng, model).name = _pick(rng, NAMES)


def _sparsity(rng: Rng, model: Any) -> None:
    _tensor(rng, model).sparsity = schema.SparsityParametersT()


def _signature(rng: Rng, model: Any) -> None:
    tensor = _tensor(rng, model)
    tensor.shapeSignature = [int(rng.choice([-1, 1, 5, -2])) for _ in range(int(rng.choice([len(tensor.shape), 1, 9])))]


def _many(rng: Rng, model: Any) -> None:
    """Hundreds of copies of a tensor, an operator or a buffer."""
    graph = _graph(rng, model)
    items = _pick(rng, [graph.tensors, graph.operators, model.buffers, model.operatorCodes])
    items.extend([_pick(rng, items)] * int(rng.choice([10, 300])))


def _huge_states(rng: Rng, model: Any) -> None:
    """Variables that each are just small enough, but not together."""
    graph = model.subgraphs[0]
    for _ in range(int(rng.choice([2, 20, 200]))):
        tensor = copy.deepcopy(_pick(rng, graph.tensors))
        tensor.shape, tensor.isVariable, tensor.buffer = [1 << 24], True, 0
        graph.tensors.append(tensor)
        if rng.random() < 0.8:
            graph.outputs = [*(int(i) for i in graph.outputs), len(graph.tensors) - 1]


MUTATIONS: tuple[Callable[[Rng, Any], None], ...] = (
    _any_field,
    _any_field,
    _dimension,
    _dimension,
    _all_dimensions,
    _rank,
    _element_type,
    _element_types,
    _scale,
    _scale,
    _scales,
    _zero_point,
    _quantization,
    _contents,
    _contents,
    _longer_constant,
    _operand,
    _operand,
    _interface,
    _order,
    _builtin,
    _options,
    _options,
    _options,
    _same_fields,
    _variables,
    _call_once,
    _name,
    _sparsity,
    _signature,
    _many,
    _huge_states,
)
