"""What the operator table cannot show of data movement: where TFLite Micro is no oracle, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.ops.cases_movement import handle, space_to_batch_nd
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UnsupportedOp
from thimble.compiler.ops.copying import Layout, contiguous, copy_box, window
from thimble.compiler.ops.executor import Executor


def test_padding_of_space_to_batch_is_the_zero_point_as_in_litert(tmp_path: Path) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    graphs, samples, expected = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        model = space_to_batch_nd(rng, limit=3)
        oracle = litert.Interpreter(
            model_content=model, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
        )
        oracle.allocate_tensors()
        source, target = oracle.get_input_details()[0], oracle.get_output_details()[0]
        x = rng.integers(-128, 128, source["shape"]).astype(np.int8)
        oracle.set_tensor(source["index"], x)
        oracle.invoke()
        expected.append(oracle.get_tensor(target["index"]))
        graphs.append(import_tflite(model, f"padded {seed}"))
        samples.append([[x]])
        np.testing.assert_array_equal(Executor(graphs[-1]).invoke([x])[0], expected[-1])
    assert any(graph.sites[0].op.edges != ((0, 0),) * len(graph.sites[0].op.edges) for graph in graphs)
    for want, (got,) in zip(expected, run_on_host(graphs, samples, tmp_path), strict=True):
        np.testing.assert_array_equal(got[0], want)


def test_a_computed_index_out_of_range_picks_the_nearest_slice(tmp_path: Path) -> None:
    m = ModelBuilder()
    x, indices, y = m.tensor((3, 2), np.int8), m.tensor((4,), np.int32), m.tensor((4, 2), np.int8)
    m.op("GATHER", [x, indices], [y], "GatherOptions")
    m.interface([x, indices], [y])
    graph = import_tflite(m.build(), "gather")
    slices = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
    inputs = [slices, np.array([-(2**31), -1, 3, 2**31 - 1], np.int32)]
    want = slices[[0, 0, 2, 2]]
    np.testing.assert_array_equal(Executor(graph).invoke(inputs)[0], want)
    np.testing.assert_array_equal(run_on_host([graph], [[inputs]], tmp_path)[0][0][0], want)


def test_a_copy_merges_dimensions_that_continue_each_other() -> None:
    call = copy_box((4, 3, 2, 5), contiguous((4, 3, 2, 5)), window((4, 9, 2, 5), (0, 6, 0, 0)), element_bytes=2)
    params = dict(call.params)
    assert params["run_bytes"] == 3 * 2 * 5 * 2
    assert params["sizes"] == (1, 1, 1, 1, 1, 4)
    assert params["destination_steps"] == (0, 0, 0, 0, 0, 9 * 2 * 5 * 2)
    assert params["destination_offset"] == 6 * 2 * 5 * 2


def test_a_copy_of_too_many_separate_dimensions_is_an_error() -> None:
    with pytest.raises(ValueError, match="7 loops"):
        copy_box((2,) * 7, Layout(tuple(2 * 3**i for i in range(7))), contiguous((2,) * 7), element_bytes=1)


def one_operator(
    code: str,
    options: str | None,
    shapes: Sequence[Sequence[int]],
    constants: Sequence[object] = (),
    outputs: int = 1,
    dtype: type = np.int8,
    constants_first: bool = False,
    **fields: object,
) -> bytes:
    """A model of one operator; the last `outputs` shapes are the outputs', and constants come first if asked so."""
    m = ModelBuilder()
    tensors = [m.tensor(shape, dtype, 0.5, 0) for shape in shapes]
    x, y = tensors[: len(shapes) - outputs], tensors[len(shapes) - outputs :]
    others = [m.const(*c) if isinstance(c, tuple) else m.const(c) for c in constants]
    operands = [*others, *x] if constants_first else [*x, *others]
    m.op(code, operands, y, options, **fields)
    m.interface(x, y)
    return m.build()


def slice_fields(**fields: int) -> Callable[[], bytes]:
    """A STRIDED_SLICE of all of a (2, 3) tensor with other options."""
    return lambda: one_operator(
        "STRIDED_SLICE", "StridedSliceOptions", [(2, 3), (2, 3)], [[0, 0], [2, 3], [1, 1]], **fields
    )


def unassigned_shape() -> bytes:
    """A variable assigned with another shape than it is read."""
    m = ModelBuilder()
    x, y = m.tensor((2, 3), np.int8), m.tensor((3, 2), np.int8)
    variable = handle(m, "state")
    m.op("READ_VARIABLE", [variable], [y], "ReadVariableOptions")
    m.op("ASSIGN_VARIABLE", [variable, x], [], "AssignVariableOptions")
    m.interface([x], [y])
    return m.build()


MALFORMED: dict[str, Callable[[], bytes]] = {
    "reshape to another size": lambda: one_operator("RESHAPE", None, [(2, 3), (2, 2)], [[2, 2]]),
    "reshape with two -1": lambda: one_operator("RESHAPE", None, [(2, 3), (2, 3)], [[-1, -1]]),
    "reshape below -1": lambda: one_operator("RESHAPE", None, [(2, 3), (2, 3)], [[-2, -3]]),
    "reshape against its output": lambda: one_operator("RESHAPE", None, [(2, 3), (2, 3)], [[3, 2]]),
    "squeeze of 2": lambda: one_operator("SQUEEZE", "SqueezeOptions", [(2, 1), (1,)], squeezeDims=[0]),
    "axis too large": lambda: one_operator("EXPAND_DIMS", None, [(2,), (2, 1)], [[2]]),
    "axis too small": lambda: one_operator("EXPAND_DIMS", None, [(2,), (1, 2)], [[-(2**31)]]),
    "negative padding": lambda: one_operator("PAD", "PadOptions", [(4,), (4,)], [[[1, -1]]]),
    "paddings of another rank": lambda: one_operator("PAD", "PadOptions", [(4,), (4,)], [[[0, 0], [0, 0]]]),
    "paddings that are no pairs": lambda: one_operator("PAD", "PadOptions", [(4,), (4,)], [[0, 0]]),
    "mirror beyond the edge": lambda: one_operator("MIRROR_PAD", "MirrorPadOptions", [(2,), (4,)], [[[2, 0]]]),
    "no permutation": lambda: one_operator("TRANSPOSE", "TransposeOptions", [(2, 2), (2, 2)], [[0, 0]]),
    "concatenation of ranks": lambda: one_operator("CONCATENATION", "ConcatenationOptions", [(2, 2), (2,), (4, 2)]),
    "pack of shapes": lambda: one_operator("PACK", "PackOptions", [(2,), (3,), (2, 2)], valuesCount=2),
    "pack of too few": lambda: one_operator("PACK", "PackOptions", [(2,), (2, 2)], valuesCount=2),
    "unpack of too few": lambda: one_operator("UNPACK", "UnpackOptions", [(2, 3), (3,)], num=2),
    "uneven split": lambda: one_operator(
        "SPLIT", "SplitOptions", [(3,), (1,), (1,)], [[0]], outputs=2, constants_first=True, numSplits=2
    ),
    "split into 2^31 parts": lambda: one_operator(
        "SPLIT", "SplitOptions", [(4,), (4,)], [[0]], constants_first=True, numSplits=2**31 - 1
    ),
    "sizes beyond the axis": lambda: one_operator(
        "SPLIT_V", "SplitVOptions", [(4,), (2,), (2,)], [[5, -1], [0]], outputs=2, numSplits=2
    ),
    "slice beyond the end": lambda: one_operator("SLICE", "SliceOptions", [(4,), (2,)], [[3], [2]]),
    "slice from before the start": lambda: one_operator("SLICE", "SliceOptions", [(4,), (2,)], [[-1], [2]]),
    "stride of 0": lambda: one_operator("STRIDED_SLICE", "StridedSliceOptions", [(4,), (4,)], [[0], [4], [0]]),
    "too few begins": lambda: one_operator("STRIDED_SLICE", "StridedSliceOptions", [(2, 3), (2, 3)], [[0], [2], [1]]),
    "shrunk element that is not there": lambda: one_operator(
        "STRIDED_SLICE", "StridedSliceOptions", [(4,), ()], [[4], [5], [1]], shrinkAxisMask=1
    ),
    "constant index out of range": lambda: one_operator("GATHER", "GatherOptions", [(3,), (1,)], [[3]]),
    "batches that differ": lambda: one_operator(
        "GATHER", "GatherOptions", [(2, 3), (3, 1)], [[[0], [0], [0]]], axis=1, batchDims=1
    ),
    "block of 0": lambda: one_operator(
        "SPACE_TO_DEPTH", "SpaceToDepthOptions", [(1, 2, 2, 1), (1, 1, 1, 4)], blockSize=0
    ),
    "block that does not divide": lambda: one_operator(
        "DEPTH_TO_SPACE", "DepthToSpaceOptions", [(1, 1, 1, 3), (1, 2, 2, 1)], blockSize=2
    ),
    "block of 2^31 in batches": lambda: one_operator(
        "SPACE_TO_BATCH_ND", None, [(1, 2, 2, 1), (4, 1, 1, 1)], [[2**31 - 1, -(2**31)], [[0, 0], [0, 0]]]
    ),
    "crops of more than there is": lambda: one_operator(
        "BATCH_TO_SPACE_ND", None, [(4, 1, 1, 1), (1, 2, 2, 1)], [[2, 2], [[2, 1], [0, 0]]]
    ),
    "variable of two shapes": unassigned_shape,
}

UNSUPPORTED: dict[str, Callable[[], bytes]] = {
    "int64 paddings": lambda: one_operator("PAD", "PadOptions", [(4,), (5,)], [([[0, 1]], np.int64)]),
    "ellipsis": slice_fields(ellipsisMask=1),
    "new axis": slice_fields(newAxisMask=1),
    "relative end": slice_fields(offset=1),
    "fused activation": lambda: one_operator(
        "CONCATENATION", "ConcatenationOptions", [(2,), (2,), (4,)], fusedActivationFunction=1
    ),
    "eleven inputs": lambda: one_operator("CONCATENATION", "ConcatenationOptions", [*[(2,)] * 11, (22,)]),
    "type": lambda: one_operator("GATHER", "GatherOptions", [(3,), (1,)], [[1]], dtype=np.int16),
    "rank": lambda: one_operator("TRANSPOSE", "TransposeOptions", [(1,) * 6, (1,) * 6], [[0, 1, 2, 3, 4, 5]]),
    "computed shape": lambda: one_operator("RESHAPE", None, [(2,), (2,), (4, 1)], dtype=np.int32),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_impossible_attributes_are_malformed(name: str) -> None:
    expect_refusal(MALFORMED[name](), MalformedModel)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_tflite_micro_refuses_is_unsupported(name: str) -> None:
    expect_refusal(UNSUPPORTED[name](), UnsupportedOp)


def expect_refusal(model: bytes, error: type[ThimbleError]) -> None:
    """Importing fails with this very error, and its sentence names the operator."""
    with pytest.raises(error, match=r"operator \d+ \([A-Z_]+\)"):
        import_tflite(model, "refused")
