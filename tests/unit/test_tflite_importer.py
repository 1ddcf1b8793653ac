"""The importer against files that lie: each case is a defect that the fuzzer found, or one like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MAX_QUOTED, MalformedModel, ThimbleError, UnsupportedOp, listed, quoted
from thimble.compiler.ir.types import MAX_TENSOR_BYTES

Change = Callable[[Any], None]


def tanh_model(shape: tuple[int, ...] = (1, 4)) -> bytes:
    """One TANH operator."""
    m = ModelBuilder()
    x, y = m.tensor(shape, np.int8, 0.1, 3), m.tensor(shape, np.int8, 1 / 128, 0)
    m.op("TANH", [x], [y])
    m.interface([x], [y])
    return m.build()


def stateful_model(shape: tuple[int, ...] = (1, 4)) -> bytes:
    """A variable that is read and assigned, set up by CALL_ONCE."""
    m = ModelBuilder()
    m.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    x, y = (m.tensor(shape, np.int8, 0.1, 3) for _ in range(2))
    handle = m.tensor((), type_code=schema.TensorType.RESOURCE)
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName="v")
    m.op("READ_VARIABLE", [handle], [y], "ReadVariableOptions")
    m.op("ASSIGN_VARIABLE", [handle, x], [], "AssignVariableOptions")
    m.interface([x], [y])
    m.subgraph("initialize")
    start = m.tensor(shape, np.int8, 0.1, 3, data=np.ones(shape))
    other = m.tensor((), type_code=schema.TensorType.RESOURCE)
    m.op("VAR_HANDLE", [], [other], "VarHandleOptions", container="", sharedName="v")
    m.op("ASSIGN_VARIABLE", [other, start], [], "AssignVariableOptions")
    m.interface([], [])
    return m.build()


def changed(model: bytes, change: Change) -> bytes:
    """The model with `change` applied to its object form."""
    tables = schema.ModelT.InitFromPackedBuf(model)
    change(tables)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tables.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def refused(model: bytes, error: type[ThimbleError]) -> str:
    """The one sentence with which the model is refused."""
    with pytest.raises(error) as caught:
        import_tflite(model, "hostile")
    message = str(caught.value)
    assert message.isprintable()
    assert 0 < len(message) < 400
    return message


def put(table: Callable[[Any], Any], **fields: Any) -> Change:
    """A change that sets fields of one table of the model."""

    def change(model: Any) -> None:
        for name, value in fields.items():
            assert hasattr(table(model), name)
            setattr(table(model), name, value)

    return change


def tensor(**fields: Any) -> Change:
    """A change of the first tensor."""
    return put(lambda m: m.subgraphs[0].tensors[0], **fields)


def quantization(**fields: Any) -> Change:
    """A change of the first tensor's quantization."""
    return put(lambda m: m.subgraphs[0].tensors[0].quantization, **fields)


def operator(index: int = 0, **fields: Any) -> Change:
    """A change of an operator."""
    return put(lambda m: m.subgraphs[0].operators[index], **fields)


def call_once(subgraph: int) -> Change:
    """A change of the subgraph that CALL_ONCE names."""
    return put(lambda m: m.subgraphs[0].operators[0].builtinOptions, initSubgraphIndex=subgraph)


HANDLE = 2  # the tensor of the stateful model's VAR_HANDLE
NAN = float("nan")
Model = Callable[[], bytes]
CASES: tuple[tuple[str, Model, Change, type[ThimbleError], str], ...] = (
    ("scale without zero point", tanh_model, quantization(zeroPoint=[]), MalformedModel, "1 scales but 0 zero points"),
    ("scale not finite", tanh_model, quantization(scale=[NAN]), MalformedModel, "not finite"),
    ("scale negative", tanh_model, quantization(scale=[-1.0]), MalformedModel, "negative"),
    ("scale zero", tanh_model, quantization(scale=[0.0]), UnsupportedOp, "positive scale"),
    ("zero point", tanh_model, quantization(zeroPoint=[1 << 40]), MalformedModel, "32 bits"),
    ("negative size", tanh_model, tensor(shape=[1, -4]), UnsupportedOp, "dynamic"),
    ("huge size", tanh_model, tensor(shape=[2**31 - 1] * 6), MalformedModel, "would take"),
    ("rank", tanh_model, tensor(shape=[1] * 1000), MalformedModel, "rank 1000"),
    ("empty", tanh_model, tensor(shape=[1, 0]), UnsupportedOp, "empty"),
    ("long name", tanh_model, tensor(shape=[1, 0], name=b"n" * 9999), UnsupportedOp, "nnn...'"),
    ("name of many lines", tanh_model, tensor(shape=[1, 0], name=b"a\nb\x1b[2J"), UnsupportedOp, "a\\nb\\x1b[2J"),
    ("input index", tanh_model, operator(inputs=[7]), MalformedModel, "does not exist"),
    ("output index", tanh_model, operator(outputs=[-1]), MalformedModel, "does not exist"),
    ("no inputs", tanh_model, operator(inputs=[]), MalformedModel, "has 0 inputs"),
    ("no outputs", tanh_model, operator(outputs=None), MalformedModel, "output"),
    ("writes its input", tanh_model, operator(outputs=[0]), MalformedModel, "has a writer already"),
    ("reads its output", tanh_model, operator(inputs=[1]), MalformedModel, "before anything writes it"),
    ("opcode", tanh_model, operator(opcodeIndex=9), MalformedModel, "operator code 9 of 1"),
    ("version", tanh_model, put(lambda m: m, version=9), MalformedModel, "version 9"),
    ("no subgraph", tanh_model, put(lambda m: m, subgraphs=[]), MalformedModel, "no subgraph"),
    ("buffer index", tanh_model, tensor(buffer=99), MalformedModel, "buffer 99"),
    ("an input twice", tanh_model, put(lambda m: m.subgraphs[0], inputs=[0, 0]), MalformedModel, "twice"),
    ("input is a variable", tanh_model, tensor(isVariable=True), UnsupportedOp, "variable and yet an input"),
    ("calls itself", stateful_model, call_once(0), MalformedModel, "calls subgraph 0"),
    ("calls nothing", stateful_model, call_once(9), MalformedModel, "calls subgraph 9"),
    (
        "called late",
        stateful_model,
        lambda m: m.subgraphs[0].operators.append(m.subgraphs[0].operators.pop(0)),
        UnsupportedOp,
        "must come before all operators that use variables",
    ),
    ("no handle", stateful_model, operator(2, inputs=[0]), MalformedModel, "no VAR_HANDLE made"),
    (
        "handle of int8",
        stateful_model,
        put(lambda m: m.subgraphs[0].tensors[HANDLE], type=9),
        MalformedModel,
        "resource",
    ),
    ("handle written", stateful_model, operator(2, outputs=[HANDLE]), MalformedModel, "uses the handle"),
    ("further input", stateful_model, operator(2, inputs=[HANDLE, 0]), MalformedModel, "at most 1"),
    (
        "initial contents of another shape",
        stateful_model,
        put(lambda m: m.subgraphs[1].tensors[0], shape=[4, 1]),
        MalformedModel,
        "another shape",
    ),
)


@pytest.mark.parametrize(("model", "change", "error", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_refused_with_one_sentence(
    model: Callable[[], bytes], change: Change, error: type[ThimbleError], words: str
) -> None:
    import_tflite(model(), "sound")
    assert words in refused(changed(model(), change), error)


def test_variables_are_bounded_together() -> None:
    m = ModelBuilder()
    x, y = (m.tensor((1, 4), np.int8, 0.1, 3) for _ in range(2))
    m.op("RELU", [x], [y])
    half = (MAX_TENSOR_BYTES // 2,)
    m.interface([x], [y, *(m.tensor(half, np.int8, variable=True) for _ in range(3))])
    assert "take more than" in refused(m.build(), MalformedModel)


def test_bool_constants_hold_0_and_1_only() -> None:
    m = ModelBuilder()
    x, y = (m.tensor((3,), np.bool_) for _ in range(2))
    c = m.tensor((3,), np.bool_, data=[True, False, True])
    m.op("EQUAL", [x, c], [y], "EqualOptions")
    m.interface([x], [y])
    import_tflite(m.build(), "sound")

    def spoil(tables: Any) -> None:
        tables.buffers[tables.subgraphs[0].tensors[c].buffer].data = np.array([1, 0, 5], np.uint8)

    assert "bytes other than 0 and 1" in refused(changed(m.build(), spoil), MalformedModel)


def test_handle_is_no_operand() -> None:
    m = ModelBuilder()
    x, y, before = (m.tensor((1, 4), np.int8, 0.1, 3) for _ in range(3))
    handle = m.tensor((), type_code=schema.TensorType.RESOURCE)
    m.op("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName="v")
    m.op("READ_VARIABLE", [handle], [before], "ReadVariableOptions")
    m.op("ADD", [x, handle], [y], "AddOptions")
    m.op("ASSIGN_VARIABLE", [handle, handle], [], "AssignVariableOptions")
    m.interface([x], [y])
    assert "uses the handle of a variable" in refused(m.build(), MalformedModel)


def test_operator_code_in_the_new_field_alone() -> None:
    """Codes below 127 may stand in `builtin_code` with the old field left 0, which would read as ADD."""

    def change(tables: Any) -> None:
        tables.operatorCodes[0].deprecatedBuiltinCode = 0

    (node,) = import_tflite(changed(tanh_model(), change), "new field").nodes
    assert node.op.name == "tanh"


def test_constant_that_is_a_variable_is_refused() -> None:
    m = ModelBuilder()
    x, y = (m.tensor((1, 4), np.int8, 0.1, 3) for _ in range(2))
    w = m.tensor((1, 4), np.int8, 0.1, 3, data=np.ones(4), variable=True)
    m.op("ADD", [x, w], [y], "AddOptions")
    m.interface([x], [y])
    assert "is a variable and yet constant" in refused(m.build(), UnsupportedOp)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_truncated_anywhere(cut: int) -> None:
    model = stateful_model()
    refused(model[: len(model) * cut // 400], MalformedModel)


def test_names_and_lists_are_cut_in_messages() -> None:
    assert quoted("a") == "'a'"
    assert quoted("\n\x1b") == "'\\n\\x1b'"
    assert len(quoted("x" * 1000)) == MAX_QUOTED
    assert quoted("x" * 1000).endswith("...'")
    assert listed((1, 2)) == "(1, 2)"
    assert len(listed(range(10**6))) == MAX_QUOTED + 1
