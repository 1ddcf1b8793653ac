"""int4 and int2 in random layers: C on the host gives the bytes of the integer reference for every mixture."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.kernels.narrow_draws import narrower
from tests.ops import cases_convolution, cases_movement, cases_reduction
from tests.ops.draws import activation_code, scale, zero_point
from tests.ops.samples import draw_input
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.executor import Executor
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights
from thimble.quantize.sharing import shares

Rng = np.random.Generator
NARROW = (DType.INT8, DType.INT4, DType.INT2)
MODELS_PER_MIXTURE = 6
SAMPLES = 4


def drawn_narrow(model: bytes, widths: tuple[DType, ...], rng: Rng) -> Graph:
    """An imported layer with its operands, its weights and its output in `widths`, in that order."""
    graph = import_tflite(model, "narrowed")
    assert len(graph.nodes) == 1
    site = graph.sites[0]
    operands = [i for i in graph.nodes[0].inputs if i is not None and graph.values[i].role is Role.INPUT]
    weighted = len(site.inputs) > 1 and site.input(1).role is Role.CONSTANT
    weights = {0: narrow_weights(site, widths[1])} if weighted else {}
    rest = [dtype for k, dtype in enumerate(widths) if not weighted or k != 1]
    forms = {}
    shared = narrower(site.output().quant, rest[-1], rng)
    for index, dtype in zip((*operands, graph.outputs[0]), [*rest[: len(operands)], rest[-1]], strict=True):
        if dtype is not DType.INT8:
            quant = shared if shares(site) else narrower(graph.values[index].quant, dtype, rng)
            forms[index] = NarrowValue(dtype, quant)
    made = narrow(graph, weights, forms)
    layer = made.graph.sites[made.positions[0]]
    kinds = {v.type.dtype for v in (*layer.inputs, layer.output()) if v is not None}
    assert kinds - {DType.INT32} == set(widths), "the layer itself takes the widths"
    return made.graph


def check(graphs: list[Graph], rng: Rng, folder: Path, **options: object) -> None:
    samples = [
        [[draw_input(rng, g.values[i].type, sample) for i in g.inputs] for sample in range(SAMPLES)] for g in graphs
    ]
    expected = [[Executor(g).invoke(sample) for sample in drawn] for g, drawn in zip(graphs, samples, strict=True)]
    assert any(np.unique(outputs[0]).size > 1 for model in expected for outputs in model)
    for got, want in zip(run_on_host(graphs, samples, folder, **options), expected, strict=True):  # type: ignore[arg-type]
        for ours, theirs in zip(got, want, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert a.tobytes() == b.tobytes()


WEIGHTED: dict[str, Callable[[Rng], bytes]] = {
    "conv_2d": cases_convolution.conv_2d,
    "depthwise_conv_2d": lambda rng: cases_convolution.depthwise_conv_2d(rng, max_multiplier=3, max_dilation=2),
    "fully_connected": lambda rng: cases_convolution.fully_connected(rng, per_axis=True),
}


@pytest.mark.parametrize("layer", WEIGHTED)
@pytest.mark.parametrize("weights", NARROW)
def test_layers_with_weights(layer: str, weights: DType, tmp_path: Path) -> None:
    rng = np.random.default_rng([zlib.crc32(layer.encode()), weights.bits])
    graphs = []
    for given, made in product(NARROW, NARROW):
        graphs += [drawn_narrow(WEIGHTED[layer](rng), (given, weights, made), rng) for _ in range(MODELS_PER_MIXTURE)]
    check(graphs, rng, tmp_path)


def drawn_add(rng: Rng) -> bytes:
    """A sum or difference of two tensors of one shape."""
    name = str(rng.choice(["Add", "Sub"]))
    m = ModelBuilder()
    shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 5))))
    x, y, z = (m.tensor(shape, np.int8, scale=scale(rng), zero_point=zero_point(rng)) for _ in range(3))
    m.op(name.upper(), [x, y], [z], f"{name}Options", fusedActivationFunction=activation_code(rng))
    m.interface([x, y], [z])
    return m.build()


def drawn_mean(rng: Rng) -> bytes:
    """The mean or sum over all pixels."""
    m = ModelBuilder()
    shape = (1, *(int(n) for n in rng.integers(1, 7, 3)))
    x = m.tensor(shape, np.int8, scale=scale(rng), zero_point=zero_point(rng))
    y = m.tensor((1, shape[3]), np.int8, scale=scale(rng), zero_point=zero_point(rng))
    m.op(str(rng.choice(["MEAN", "SUM"])), [x, m.const(np.array([1, 2], np.int32))], [y], "ReducerOptions")
    m.interface([x], [y])
    return m.build()


COMPUTING: dict[str, tuple[Callable[[Rng], bytes], int]] = {"add": (drawn_add, 2), "mean": (drawn_mean, 1)}
"""What draws a layer, and how many operands it has."""


@pytest.mark.parametrize("layer", COMPUTING)
def test_layers_of_other_operators(layer: str, tmp_path: Path) -> None:
    draw, operands = COMPUTING[layer]
    rng = np.random.default_rng(zlib.crc32(layer.encode()))
    mixtures = list(product(NARROW, repeat=operands + 1))
    graphs = [drawn_narrow(draw(rng), widths, rng) for widths in mixtures for _ in range(3)]
    check(graphs, rng, tmp_path)


SHARING: dict[str, Callable[[Rng], bytes]] = {
    "max_pool_2d": lambda rng: cases_reduction.pool(rng, "MAX_POOL_2D"),
    "average_pool_2d": lambda rng: cases_reduction.pool(rng, "AVERAGE_POOL_2D"),
    "pad": cases_movement.pad,
    "concatenation": cases_movement.concatenation,
    "reshape": cases_movement.reshape,
    "squeeze": cases_movement.squeeze,
}


@pytest.mark.parametrize("layer", SHARING)
def test_layers_that_keep_the_type(layer: str, tmp_path: Path) -> None:
    """Some of those drawn have channels that fill no byte, and stay int8."""
    rng = np.random.default_rng(zlib.crc32(layer.encode()))
    graphs = []
    for dtype in (DType.INT4, DType.INT2):
        for _ in range(60):
            made = drawn_shared(SHARING[layer](rng), dtype, rng)
            graphs += [] if made is None else [made]
    assert len(graphs) > 10
    check(graphs, rng, tmp_path)


def drawn_shared(model: bytes, dtype: DType, rng: Rng) -> Graph | None:
    """An imported layer on one narrow type; None where it does not take it."""
    graph = import_tflite(model, "narrowed")
    operands = [i for i in graph.nodes[0].inputs if i is not None and graph.values[i].role is Role.INPUT]
    form = NarrowValue(dtype, narrower(graph.sites[0].output().quant, dtype, rng))
    made = narrow(graph, {}, dict.fromkeys((*operands, *graph.outputs), form))
    return made.graph if made.graph.sites[made.positions[0]].output().type.dtype is dtype else None


@pytest.mark.parametrize("given", NARROW)
@pytest.mark.parametrize("made", NARROW)
def test_conversions(given: DType, made: DType, tmp_path: Path) -> None:
    rng = np.random.default_rng([given.bits, made.bits])
    graphs = []
    for _ in range(5):
        m = ModelBuilder()
        shape = tuple(int(n) for n in rng.integers(1, 6, int(rng.integers(1, 5))))
        x, y = (m.tensor(shape, np.int8, scale=scale(rng), zero_point=zero_point(rng)) for _ in range(2))
        m.op("QUANTIZE", [x], [y], None)
        m.interface([x], [y])
        graphs.append(drawn_narrow(m.build(), (given, made), rng))
    check(graphs, rng, tmp_path)
