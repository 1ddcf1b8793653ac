"""int4 and int2 in random layers: C on the host gives the bytes of the integer reference for every mixture."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.host_batch import run_on_host
from tests.ops import cases_convolution
from tests.ops.test_ops import draw_input
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.executor import Executor
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights
from thimble.quantize.sharing import shares

Rng = np.random.Generator
NARROW = (DType.INT8, DType.INT4, DType.INT2)
MODELS_PER_MIXTURE = 6
SAMPLES = 4


def narrower(quant: QuantParams, dtype: DType, rng: Rng) -> QuantParams:
    """About the same range on fewer levels."""
    low, high = dtype.range
    scale = np.float32(quant.scale * 256 / (high - low + 1) * rng.uniform(0.5, 1))
    return QuantParams((float(scale),), (int(rng.integers(low, high + 1)),))


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
