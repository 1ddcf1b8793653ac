"""Row forms: what a step needs is enough and passes by in order, and a part alone gives the part of the whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from tests.ops.case import OpCase
from tests.ops.samples import draw_samples
from tests.ops.table import CASES
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph, Node, Role, Site
from thimble.compiler.ir.operator import Rounding, RowForm, Span
from thimble.compiler.ops.executor import Executor

MODELS_PER_ROW = 20
Rng = np.random.Generator
Arrays = dict[int, np.ndarray]

ROW_FORMS = """
ABS ADD SUB CAST EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE ELU
FULLY_CONNECTED HARD_SWISH CONCATENATION LEAKY_RELU MAXIMUM MINIMUM MUL NEG PAD PADV2 AVERAGE_POOL_2D MAX_POOL_2D PRELU
QUANTIZE MEAN SUM REDUCE_MAX RELU RELU6 EXPAND_DIMS RESHAPE SQUEEZE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT
LOGISTIC TANH SLICE STRIDED_SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE TRANSPOSE_CONV
""".split()  # noqa: SIM905 - a list of words reads better as words
PARTS = """
ABS ADD SUB CAST EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE ELU
FULLY_CONNECTED HARD_SWISH CONCATENATION LEAKY_RELU MAXIMUM MINIMUM MUL NEG AVERAGE_POOL_2D MAX_POOL_2D PRELU QUANTIZE
RELU RELU6 RSQRT LOGISTIC TANH SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE
""".split()  # noqa: SIM905


def nodes_of(case: OpCase, models: int = MODELS_PER_ROW) -> Iterator[tuple[Rng, Graph, Node, Site, RowForm, Arrays]]:
    """Every node of a row's random models that has a row form, with the values of one inference."""
    for seed in range(models):
        rng = np.random.default_rng([zlib.crc32(case.id.encode()), seed])
        graph = import_tflite(case.draw(rng), f"{case.id} {seed}")
        arrays = Executor(graph).trace(draw_samples(case, rng, graph)[0])
        for node, site in zip(graph.nodes, graph.sites, strict=True):
            form = site.op.rows(site)
            if form is not None and site.op.name.upper() == case.operator:
                yield rng, graph, node, site, form, arrays


def operands(graph: Graph, node: Node, arrays: Arrays) -> list[np.ndarray]:
    """The arrays that a node reads."""
    return [np.zeros(0, np.int8) if i is None else arrays[i] for i in node.inputs]


def as_rows(array: np.ndarray) -> np.ndarray:
    """A view (rows, columns, channels) as TensorType counts them."""
    return array.reshape(-1, *array.shape[-2:]) if array.ndim > 2 else array.reshape(1, 1, -1)


def limits(array: np.ndarray) -> tuple[int, int]:
    info = np.iinfo(array.dtype)
    return int(info.min), int(info.max)


def scrambled(rng: Rng, array: np.ndarray, rows: Span, columns: Span | None) -> np.ndarray:
    """Other bytes everywhere but in these rows and columns."""
    kept = as_rows(array)
    low, high = (-1e6, 1e6) if array.dtype.kind == "f" else (0, 2) if array.dtype.kind == "b" else limits(array)
    noise = rng.uniform(low, high, kept.shape).astype(array.dtype)
    part = (slice(*rows), slice(*(columns or (0, kept.shape[1]))))
    noise[part] = kept[part]
    return noise.reshape(array.shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_needs_lie_inside_and_pass_by_in_order(case: OpCase) -> None:
    for _, _, _, site, form, _ in nodes_of(case):
        assert len(form.needs) == len(site.inputs)
        if not form.accumulator_bytes:
            assert {value.type.rows for value in site.outputs} == {form.steps}
        for value, spans in zip(site.inputs, form.needs, strict=True):
            assert (spans is None) == (value is None or value.role is Role.CONSTANT)
            if value is None or spans is None:
                continue
            assert len(spans) == form.steps
            assert all(0 <= first <= end <= value.type.rows for first, end in spans)
            assert (np.diff(np.array(spans), axis=0) >= 0).all()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_step_needs_no_other_rows(case: OpCase) -> None:
    for rng, graph, node, site, form, arrays in nodes_of(case):
        if form.accumulator_bytes:
            continue
        given = operands(graph, node, arrays)
        for step in range(form.steps):
            changed = [
                x if spans is None else scrambled(rng, x, spans[step], None)
                for x, spans in zip(given, form.needs, strict=True)
            ]
            for output, made in zip(node.outputs, site.op.reference(site, changed, Rounding.TFLM), strict=True):
                assert as_rows(made)[step].tobytes() == as_rows(arrays[output])[step].tobytes(), (site.source, step)


def random_span(rng: Rng, size: int) -> Span:
    first = int(rng.integers(size))
    return first, int(rng.integers(first, size)) + 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_part_alone_equals_the_part_of_the_whole(case: OpCase) -> None:
    for rng, graph, node, site, form, arrays in nodes_of(case):
        made = site.output().type
        for _ in range(6):
            rows, columns = random_span(rng, made.rows), random_span(rng, made.columns)
            needed = site.op.needed_columns(site, columns)
            if needed is None:
                continue
            assert not form.accumulator_bytes
            part = site.op.restricted(site, rows, columns)
            assert part.op.shapes(part) == tuple(value.type.shape for value in part.outputs)
            assert all(constraint(part) for constraint in part.op.constraints)
            given = []
            for i, (x, value) in enumerate(zip(operands(graph, node, arrays), part.inputs, strict=True)):
                if value is None or value.role is Role.CONSTANT:
                    given.append(x if value is None else value.constant)
                    continue
                spans, across = form.needs[i], needed[i]
                assert spans is not None
                assert across is not None
                cut = as_rows(x)[spans[rows[0]][0] : spans[rows[1] - 1][1], slice(*across)] if x.ndim > 2 else x
                given.append(cut.reshape(value.type.shape))  # raises where the type has another size
            results = part.op.reference(part, given, Rounding.TFLM)
            for output, value, result in zip(node.outputs, part.outputs, results, strict=True):
                assert (value.type.rows, value.type.columns) == (rows[1] - rows[0], columns[1] - columns[0])
                wanted = as_rows(arrays[output])[slice(*rows), slice(*columns)]
                assert result.tobytes() == wanted.tobytes(), (site.source, rows, columns)


def test_the_operators_of_networks_have_row_forms_and_parts() -> None:
    found: set[str] = set()
    splittable: set[str] = set()
    for case in CASES:
        for _, _, _, site, _, _ in nodes_of(case, models=40):
            found.add(case.operator)
            if site.op.needed_columns(site, (0, 1)) is not None:
                splittable.add(case.operator)
    assert found == set(ROW_FORMS)
    assert splittable == set(PARTS)
