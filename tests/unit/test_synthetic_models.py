"""The synthetic networks are what they say: sizes as published, values spread over int8, bytes as tflite-micro's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.graphs import graph_of
from tests.models.catalogue import MODELS
from thimble.compiler.driver.build_folder import import_model
from thimble.compiler.driver.data import random_samples
from thimble.compiler.driver.oracle import run_oracle
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.executor import Executor

LARGEST_SATURATED_SHARE = 0.6  # of RELU6 outputs at the two ends of their range


@cache
def model_of(name: str) -> tuple[bytes, Graph]:
    data = MODELS[name]()
    return data, import_model(data, Path(f"{name}.tflite"))


@pytest.mark.parametrize("name", MODELS)
def test_values_spread_over_int8(name: str) -> None:
    _, graph = model_of(name)
    samples = random_samples(graph, 2)
    first, second = (Executor(graph).trace(samples.sample(i)) for i in range(2))
    for value in [v for node in graph.nodes for v in node.outputs]:
        levels = first[value].reshape(-1)
        assert np.isin(levels, (-128, 127)).mean() <= LARGEST_SATURATED_SHARE, graph.values[value].name
        assert len(np.unique(levels)) >= min(100, levels.size // 3), graph.values[value].name
    assert np.mean(first[graph.outputs[0]] != second[graph.outputs[0]]) > 0.5


@pytest.mark.parametrize("name", MODELS)
def test_bytes_equal_tflite_micro(name: str) -> None:
    data, source = model_of(name)
    graph = graph_of(data, Path(f"{name}.tflite"))
    samples = random_samples(graph, 1)
    (expected,) = run_oracle(data, source, samples, Rounding.TFLM)
    got = Executor(graph).invoke(samples.sample(0))
    assert [a.tobytes() for a in got] == [a.tobytes() for a in expected]


def test_same_bytes_every_time() -> None:
    assert MODELS["squeeze_excite"]() == MODELS["squeeze_excite"]()


@pytest.mark.parametrize(
    ("name", "macs", "largest_pair_bytes"),
    [
        ("mobilenet_v2_035_144", 18_913_970, 194_400),  # msf-CNN's layer-wise column: 194.4 kB
        ("mcunet_320k_176", 81_785_520, 309_760),  # 309.8 kB
        ("mcunet_vww_80", 11_580_096, 96_000),  # 96.0 kB
        ("mobilenet_v2_100_224", 300_774_272, 1_505_280),
    ],
)
def test_sizes_of_the_published_networks(name: str, macs: int, largest_pair_bytes: int) -> None:
    _, graph = model_of(name)
    assert graph.macs == macs
    pairs = [site.input(0).type.bytes + site.output().type.bytes for site in graph.sites if site.op.name != "add"]
    assert max(pairs) == largest_pair_bytes
