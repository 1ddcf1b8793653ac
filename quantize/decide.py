"""From what calibration saw to the parameters of every value and weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.observers import Histogram, Observer, Range, choose_range
from thimble.quantize.parameters import Parameters, QuantizedWeights, affine, levels
from thimble.quantize.sharing import fixed_output, shares, sharing_groups
from thimble.quantize.weights import has_weights, quantize_weights


@dataclass(frozen=True, slots=True)
class Scheme:
    """How ranges are chosen. `clip_weights` lets large weights be clipped where that loses less than it gains."""

    observer: Observer = Observer.MIN_MAX
    clip_weights: bool = False
    symmetric: bool = False


def choose_ranges(
    graph: Graph, histograms: Mapping[int, Histogram], scheme: Scheme, whole: Mapping[int, Range]
) -> dict[int, Range]:
    """The range of each float value.

    Inputs keep all that calibration saw: clipping them helps no layer. So do the values in `whole`, whose ranges are
    given.
    """
    steps = levels(DType.INT8)
    ranges = {
        i: choose_range(h, Observer.MIN_MAX if i in graph.inputs else scheme.observer, steps)
        for i, h in histograms.items()
    }
    return {**ranges, **{i: found for i, found in whole.items() if i in ranges}}


def value_parameters(graph: Graph, ranges: Mapping[int, Range], symmetric: bool = False) -> dict[int, QuantParams]:
    """int8 scale and zero point of each value: those that its writer fixes, else what covers its whole group."""
    groups = sharing_groups(graph)
    fixed: dict[int, set[QuantParams]] = {}
    free: dict[int, Range] = {i: ranges[i] for i in graph.inputs}
    joined: dict[int, Range] = {}
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        for index in node.outputs:
            if index not in ranges:
                continue
            quant = fixed_output(site, DType.INT8)
            if quant is not None:
                fixed.setdefault(groups[index], set()).add(quant)
            elif not shares(site):
                free[index] = ranges[index]
    for index, wanted in ranges.items():
        root = groups[index]
        joined[root] = joined[root].union(wanted) if root in joined else wanted
    freely = {groups[index] for index in free}
    result = {}
    for index in ranges:
        root = groups[index]
        quants = fixed.get(root, set())
        only = next(iter(quants)) if len(quants) == 1 and root not in freely else None
        result[index] = only or affine(joined[root], DType.INT8, symmetric)
    return result


def weight_parameters(
    graph: Graph, values: Mapping[int, QuantParams], clip: bool = False
) -> dict[int, QuantizedWeights]:
    """The integers of all weights, by position of their node."""
    return {
        position: quantize_weights(site, values[_source(graph, position)].scale, clip)
        for position, site in enumerate(graph.sites)
        if has_weights(site)
    }


def decide(
    graph: Graph, histograms: Mapping[int, Histogram], scheme: Scheme, whole: Mapping[int, Range] | None = None
) -> Parameters:
    """The parameters that a scheme gives, before anything is corrected or learned; `whole` as for choose_ranges."""
    values = value_parameters(graph, choose_ranges(graph, histograms, scheme, whole or {}), scheme.symmetric)
    return Parameters(values, weight_parameters(graph, values, scheme.clip_weights))


def _source(graph: Graph, position: int) -> int:
    """The value that a node with weights multiplies."""
    source = graph.nodes[position].inputs[0]
    assert source is not None
    return source
