"""The table of node tests in docs/onnx.md: `python -m tests.onnx.node_table` writes it anew."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import onnx

from tests.onnx.node_tests import PASSED, REFUSED, WRONG, Outcome, node_cases, try_case
from tests.shared_data import ROOT

PAGE = ROOT / "docs" / "onnx.md"
BEGIN, END = "<!-- node tests: begin -->\n", "<!-- node tests: end -->\n"

EDGE_OPERATORS = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
        "AveragePool",
        "MaxPool",
        "LpPool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "MatMul",
        "Gemm",
        "MatMulInteger",
        "QLinearMatMul",
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Ceil",
        "Clip",
        "Cos",
        "Cosh",
        "Div",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "IsInf",
        "IsNaN",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Round",
        "Sign",
        "Sin",
        "Sinh",
        "Sqrt",
        "Sub",
        "Sum",
        "Tan",
        "Where",
        "Xor",
        "Celu",
        "Elu",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mish",
        "PRelu",
        "Relu",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "ArgMax",
        "ArgMin",
        "CumSum",
        "Resize",
        "Upsample",
        "Pad",
        "Slice",
        "Split",
        "Concat",
        "Transpose",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Expand",
        "Tile",
        "Gather",
        "DepthToSpace",
        "SpaceToDepth",
        "BatchNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "LRN",
        "LpNormalization",
        "MeanVarianceNormalization",
        "Softmax",
        "LogSoftmax",
        "Hardmax",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
    ]
)
"""Convolutions, pools, matrix products, element-wise operators, activations, reductions, resizing, padding, slices,
concatenation, transposes and their kin, normalizations, softmax, quantization."""


def edge_share(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """(passed, all) cases of the operators that edge networks use."""
    edge = [outcome for outcome in outcomes if outcome.operator in EDGE_OPERATORS]
    return sum(outcome.outcome == PASSED for outcome in edge), len(edge)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Totals, and a row for each operator."""
    totals = Counter(outcome.outcome for outcome in outcomes)
    bound = sum(outcome.outcome == PASSED and outcome.bound > 0 for outcome in outcomes)
    passed, edge = edge_share(outcomes)
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        rows[outcome.operator].append(outcome)
    lines = [
        f"onnx {onnx.__version__} generates {len(outcomes):,} node tests: {totals[PASSED]:,} passed "
        f"({bound} of them with inputs such as shapes and axes bound as constants), {totals[REFUSED]:,} refused with "
        f"a reason, {totals[WRONG]} wrong. Of the operators that edge networks use, marked with a star, {passed} of "
        f"{edge} cases pass ({100 * passed / edge:.1f}%).",
        "",
        "| operator | passed | refused | wrong | why refused |",
        "|---|---|---|---|---|",
    ]
    for operator in sorted(rows):
        counts = Counter(outcome.outcome for outcome in rows[operator])
        reasons = Counter(_general(outcome.reason) for outcome in rows[operator] if outcome.outcome == REFUSED)
        why = "<br>".join(f"{count}: {reason}" for reason, count in reasons.most_common())
        star = " *" if operator in EDGE_OPERATORS else ""
        lines.append(f"| {operator}{star} | {counts[PASSED]} | {counts[REFUSED]} | {counts[WRONG]} | {why} |")
    return "\n".join(lines) + "\n"


def _general(reason: str) -> str:
    """A reason without the names of the case's tensors and without a list of what is supported."""
    reason = re.sub(r"^(Tensor|Input|output) ('[^']*'|\"[^\"]*\")", "a tensor", reason)
    return reason.partition("; docs/onnx.md")[0].rstrip(".")


def page_with(table: str) -> str:
    """docs/onnx.md with the table in its place."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page_with(markdown([try_case(case) for case in node_cases()])), encoding="utf-8")
