"""Quantization by what the outputs feel: ranges by gradients, then weights rounded for what reaches them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.quantize.calibration import Calibration, observe
from thimble.quantize.channel_steps import choose_steps
from thimble.quantize.compare import correct_biases, round_weights
from thimble.quantize.decide import Scheme, choose_ranges, value_parameters, weight_parameters
from thimble.quantize.error_costs import measure
from thimble.quantize.learned import import_torch
from thimble.quantize.parameters import Parameters

MOST_MEASURED, FEWEST_MEASURED = 256, 8
"""Samples, mirror images aside, over which gradients are taken."""

WORK = 1e10
"""Multiply-accumulates of one pass over those samples; all that is measured takes some ten times as much."""

ROUNDED_SAMPLES = 128
"""Samples, mirror images aside, for which weights are rounded and biases corrected."""


@dataclass(frozen=True, slots=True)
class Felt:
    """The same function with channels scaled, and the integers of it."""

    graph: Graph
    parameters: Parameters


def quantize_by_gradients(graph: Graph, samples: Calibration, symmetric: bool) -> Felt:
    """Integers of a normalized float graph, every decision made by estimates over all samples.

    Raises ToolMissing without PyTorch, UnsupportedOp for an operator that quantize/torch_network.py lacks.
    """
    most = int(np.clip(WORK / max(graph.macs, 1), FEWEST_MEASURED, MOST_MEASURED))
    costs = measure(import_torch(), graph, samples.spread(most).with_mirror_images)
    found = choose_steps(graph, costs)
    seen = choose_ranges(found.graph, observe(found.graph, samples), Scheme(), {})
    values = value_parameters(found.graph, {**seen, **found.ranges}, symmetric)
    parameters = Parameters(values, weight_parameters(found.graph, values))
    given = samples.spread(ROUNDED_SAMPLES).with_mirror_images
    parameters = correct_biases(found.graph, parameters, given)
    return Felt(found.graph, round_weights(found.graph, parameters, given))
