"""An operator is one Python file, one C kernel, one decoder and one row in the table: none of them may be missing."""

from __future__ import annotations

import re

from tests.ops.table import CASES
from tests.shared_data import ROOT
from thimble.compiler.driver import ops_page
from thimble.compiler.importers.tflite.decoders import CUSTOM_DECODERS, DECODERS
from thimble.compiler.importers.tflite.schema import BuiltinOperator, enum_name
from thimble.compiler.ops.registry import OPERATORS
from thimble.runtime_c import KERNELS_DIR

# The importer handles these two itself; READ_ and ASSIGN_VARIABLE come in rows of whole models with variables.
PROMISED = """
CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED BATCH_MATMUL ADD SUB MUL MINIMUM MAXIMUM AVERAGE_POOL_2D
MAX_POOL_2D MEAN SUM REDUCE_MAX PAD PADV2 MIRROR_PAD RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE CONCATENATION PACK UNPACK
SPLIT SPLIT_V SLICE STRIDED_SLICE GATHER RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE
SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND SOFTMAX LOGISTIC TANH RELU RELU6 LEAKY_RELU PRELU ELU HARD_SWISH ABS NEG
SQUARED_DIFFERENCE RSQRT SVDF UNIDIRECTIONAL_SEQUENCE_LSTM QUANTIZE DEQUANTIZE ARG_MAX ARG_MIN CAST EQUAL NOT_EQUAL
GREATER GREATER_EQUAL LESS LESS_EQUAL READ_VARIABLE ASSIGN_VARIABLE SELECT_V2
""".split()  # noqa: SIM905 - a list of words reads better as words


def names() -> set[str]:
    return {op.name.upper() for op in OPERATORS}


def test_every_promised_operator_is_registered() -> None:
    assert set(PROMISED) <= names()


def test_no_operator_is_registered_twice() -> None:
    assert len(names()) == len(OPERATORS)


def test_every_operator_has_a_decoder() -> None:
    own = {name.removeprefix("thimble.").upper() for name in CUSTOM_DECODERS}
    assert names() == {enum_name(BuiltinOperator, code) for code in DECODERS} | own


def test_every_operator_has_a_row() -> None:
    assert names() <= {case.operator for case in CASES}


def test_every_operator_has_its_file_and_docstring() -> None:
    for op in OPERATORS:
        assert (op.__doc__ or "").strip(), f"{op.__name__} has no docstring"
        assert op.__module__.startswith("thimble.compiler.ops.")


def test_every_constraint_has_a_sentence() -> None:
    for op in OPERATORS:
        for constraint in op.constraints:
            assert (constraint.__doc__ or "").strip().endswith("."), f"{op.name}: {constraint}"


def test_every_kernel_file_is_used_by_an_operator() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "compiler" / "ops").glob("*.py"))
    for path in KERNELS_DIR.glob("thimble_*.c"):
        kernel = path.stem.removeprefix("thimble_")
        stem = re.sub(r"_(s|u|f)\d+(_(s|u|f)\d+)*$", "", kernel)
        assert f'"{kernel}"' in sources or stem in sources, f"{path.name} is called by no operator"


def test_supported_ops_page_is_current() -> None:
    assert (ROOT / "SUPPORTED_OPS.md").read_text() == ops_page.markdown(), "run `make ops-page`"
