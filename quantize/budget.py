"""Accuracy bought back: layers moved to int16 activations, the cheapest first, until a budget is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.compiler.ir.errors import AccuracyMissed, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.quantize.calibration import Calibration
from thimble.quantize.convert import convert
from thimble.quantize.loss import Judge
from thimble.quantize.parameters import Parameters
from thimble.quantize.quantizer import Progress, Quantized, Say
from thimble.quantize.refine import REFINED_SAMPLES, refine_ranges

RANKED_SAMPLES = 16
"""Calibration samples on which the gain of each layer is estimated."""

Drop = Callable[[Graph], float]
"""Points that an integer graph loses against the float model."""


def keep_budget(
    result: Quantized, most: float, drop: Drop, calibration: Calibration, say: Say, progress: Progress
) -> Quantized:
    """The result with better ranges, then with as many layers in int16 as its loss of accuracy asks for.

    `most` points may be lost. Ranges chosen layer by layer come first: they cost nothing. Layers in int16 come in the
    order of what they gain for each byte of activations that they add; they read and write int16, and conversions
    stand where their neighbours stay int8. Raises AccuracyMissed where even all layers together do not suffice:
    nothing computes in float.
    """
    lost = drop(result.graph)
    steps = [f"{lost:.2f} points lost in int8"]
    if lost <= most:
        return replace(result, steps=(*result.steps, *steps))
    result, lost = _better_ranges(result, lost, drop, calibration, steps, progress)
    if lost <= most:
        return replace(result, steps=(*result.steps, *steps))
    wide: frozenset[int] = frozenset()
    for position in _ranked(result, calibration.spread(RANKED_SAMPLES), progress):
        wide |= {position}
        parameters = replace(result.parameters, wide=wide)
        graph = remove_dead(convert(result.source, parameters).graph)
        lost = drop(graph)
        steps.append(f"layer {position} ({result.source.nodes[position].op.name}) in int16: {lost:.2f} points lost")
        say(steps[-1])
        if lost <= most:
            return replace(result, graph=graph, parameters=parameters, steps=(*result.steps, *steps))
    raise AccuracyMissed(
        f"Quantization loses {lost:.2f} points with all layers in int16 that can be, more than the {most:g} allowed; "
        "give more or better calibration data, or train the model for integers."
    )


def _better_ranges(
    result: Quantized, lost: float, drop: Drop, calibration: Calibration, steps: list[str], progress: Progress
) -> tuple[Quantized, float]:
    """The result with ranges chosen layer by layer, where fewer points are lost so; and the points."""
    samples = calibration.spread(REFINED_SAMPLES)
    parameters = refine_ranges(result.source, result.parameters, samples, progress)
    graph = remove_dead(convert(result.source, parameters).graph)
    found = drop(graph)
    steps.append(f"ranges layer by layer: {found:.2f} points lost{'' if found < lost else ', not kept'}")
    return (replace(result, graph=graph, parameters=parameters), found) if found < lost else (result, lost)


def _ranked(result: Quantized, samples: Calibration, progress: Progress) -> list[int]:
    """Positions of the layers that can compute in int16, those that gain most for each byte first."""
    judge = Judge(result.source, samples)
    before = judge.loss(result.parameters)
    gains = {}
    for position in progress(range(len(result.source.nodes)), "layers in int16", len(result.source.nodes)):
        alone = replace(result.parameters, wide=frozenset({position}))
        if _can_be_wide(result.source, alone):
            gains[position] = (before - judge.loss(alone)) / _added_bytes(result.source, position)
    return sorted(gains, key=lambda position: -gains[position])


def _can_be_wide(graph: Graph, parameters: Parameters) -> bool:
    try:
        convert(graph, parameters)
    except UnsupportedOp:
        return False
    return True


def _added_bytes(graph: Graph, position: int) -> int:
    """What a layer in int16 adds: a byte for each element that it reads and writes, four for each bias."""
    site = graph.sites[position]
    activations = [v for v in (*site.inputs, *site.outputs) if v is not None and v.data is None]
    bias = site.input(2).type.elements if isinstance(site.op, WeightedOperator) and site.has_input(2) else 0
    return sum(value.type.elements for value in activations) + 4 * bias


def all_wide(result: Quantized) -> Quantized:
    """The result with every layer in int16 that can be."""
    wide = frozenset(
        position
        for position in range(len(result.source.nodes))
        if _can_be_wide(result.source, replace(result.parameters, wide=frozenset({position})))
    )
    parameters = replace(result.parameters, wide=wide)
    return replace(result, graph=remove_dead(convert(result.source, parameters).graph), parameters=parameters)
