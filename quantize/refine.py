"""Ranges chosen layer by layer: each tensor tries what every observer says of it, the whole network being the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.loss import Judge
from thimble.quantize.observers import Histogram, Observer, Range, choose_range
from thimble.quantize.parameters import Parameters, QuantizedWeights, affine, levels
from thimble.quantize.sharing import fixed_output, sharing_groups
from thimble.quantize.weights import store_bias

REFINED_SAMPLES = 32
"""Samples that judge a change: each is tried on the whole network."""


def refine_ranges(graph: Graph, parameters: Parameters, calibration: Calibration, progress: Any) -> Parameters:
    """The parameters with each group of values at the range of all tried that loses least, in order of execution.

    Integers of weights stay as they are; biases are stored anew where the scale of their input changes. It costs the
    firmware nothing.
    """
    histograms = observe(graph, calibration)
    judge = Judge(graph, calibration.spread(REFINED_SAMPLES))
    best, loss = parameters, judge.loss(parameters)
    groups = _free_groups(graph, parameters)
    for members in progress(groups, "ranges layer by layer", len(groups)):
        for quant in _choices(histograms, members):
            candidate = with_quant(graph, best, members, quant)
            found = judge.loss(candidate)
            if found < loss:
                best, loss = candidate, found
    return best


def _free_groups(graph: Graph, parameters: Parameters) -> list[list[int]]:
    """Values that are quantized alike, without inputs and without those whose operator fixes their quantization."""
    groups: dict[int, list[int]] = {}
    roots = sharing_groups(graph)
    for index in parameters.values:
        groups.setdefault(roots[index], []).append(index)
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        if fixed_output(site, DType.INT8) is not None:
            groups.pop(roots[node.outputs[0]], None)
    for index in graph.inputs:
        groups.pop(roots[index], None)
    return [sorted(members) for _, members in sorted(groups.items())]


def _choices(histograms: Mapping[int, Histogram], members: list[int]) -> list[QuantParams]:
    """What each observer makes of a group; entropy aside, which never won."""
    made = []
    for observer in (Observer.MIN_MAX, Observer.PERCENTILE, Observer.MSE):
        ranges = [choose_range(histograms[i], observer, levels(DType.INT8)) for i in members]
        made.append(affine(reduce(Range.union, ranges), DType.INT8))
    return made


def with_quant(graph: Graph, parameters: Parameters, members: list[int], quant: QuantParams) -> Parameters:
    """The parameters with another scale and zero point for some values, and biases at the new scale of their input."""
    values = {**parameters.values, **dict.fromkeys(members, quant)}
    weights: dict[int, QuantizedWeights] = dict(parameters.weights)
    for position, before in parameters.weights.items():
        source = graph.nodes[position].inputs[0]
        if source in members and before.bias is not None:
            real = before.bias * (np.float64(parameters.values[source].scale) * before.scales)
            weights[position] = replace(before, bias=store_bias(real, quant.scale, before.scales))
    return replace(parameters, values=values, weights=weights)
