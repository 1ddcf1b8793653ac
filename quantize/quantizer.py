"""Float graph and calibration data to integer graph."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.graph import Graph
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.convert import float_only, integer_graph
from thimble.quantize.decide import Scheme, decide
from thimble.quantize.normalize import normalize
from thimble.quantize.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Quantized:
    """`source` is the normalized float graph that `parameters` speak of; `graph` is the integer graph."""

    graph: Graph
    source: Graph
    parameters: Parameters


def quantize_fast(graph: Graph, calibration: Calibration) -> Quantized:
    float_only(graph)
    source = normalize(graph)
    histograms = observe(source, calibration)
    parameters = decide(source, histograms, Scheme())
    return Quantized(remove_dead(integer_graph(source, parameters)), source, parameters)
