"""`--quantize` and `thimble quantize`: a float model file to integers, with the figures that show what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from thimble.compiler.driver.bit_costs import chip_firmware
from thimble.compiler.driver.build_folder import import_model, read_file
from thimble.compiler.driver.calibration_data import load_calibration
from thimble.compiler.driver.data import Samples, load_samples
from thimble.compiler.driver.options import QuantizeOptions
from thimble.compiler.driver.quantize_search import SearchOptions, search_bits
from thimble.compiler.exporters.onnx import export_qdq
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.dequantize import dequantized
from thimble.quantize.budget import all_wide, keep_budget
from thimble.quantize.calibration import Calibration, calibration_for, warnings_of
from thimble.quantize.choices import Losses
from thimble.quantize.compare import LayerFigures, layer_figures
from thimble.quantize.firmware_cost import Firmware
from thimble.quantize.loss import run_values
from thimble.quantize.mixed import Drop
from thimble.quantize.parameters import store
from thimble.quantize.quantizer import Progress, Quantized, Say, quantize_graph
from thimble.quantize.sensitivity import Widths

FirmwareOf = Callable[[Graph], Firmware]
"""The firmware that a build of an integer graph would be, as far as bits are concerned."""

FIGURE_SAMPLES = 64
"""Calibration samples that the table of layers is made from."""


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """The quantized graph, the same as a TFLite file, and what the report says about it."""

    graph: Graph
    file: bytes
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class IntegerModel:
    """A float model in integers of 8 and 16 bits, and what it was made with; `searched` where fewer bits are searched
    for behind it."""

    result: Quantized
    calibration: Calibration
    data: Samples | None
    report: dict[str, Any]
    searched: bool


@dataclass(slots=True)
class Attempts:
    """What all attempts of one build share that differ in the limits of a search alone: the model in integers, and what
    each tensor loses in fewer bits."""

    integers: IntegerModel | None = None
    losses: dict[Widths, Losses] = field(default_factory=dict)


def quantize_file(
    model: Path,
    options: QuantizeOptions,
    say: Say = lambda _: None,
    progress: Progress = lambda items, what, count: items,
) -> QuantizedModel:
    """Quantize a model file; raises the ThimbleError of whatever stops it."""
    say("Reading the model")
    graph = import_model(read_file(model), model, dict(options.input_shapes))
    return quantize_imported(graph, options, say, progress, partial(chip_firmware, target=options.target))


def quantize_to(
    model: Path,
    out: Path,
    options: QuantizeOptions,
    say: Say = lambda _: None,
    progress: Progress = lambda items, what, count: items,
) -> dict[str, Any]:
    """Quantize a model file and write the result, QDQ ONNX or TFLite by the suffix of `out`; returns the report.

    Raises the ThimbleError of whatever stops it, and AccuracyMissed, nothing written, where the budget is not met.
    """
    if out.suffix.lower() not in _WRITERS:
        raise UsageError(f"{out}: write an .onnx or a .tflite file.")
    quantized = quantize_file(model, options, say, progress)
    try:
        out.write_bytes(_WRITERS[out.suffix.lower()](quantized))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}.") from error
    return {"model": model.name, "file": str(out)} | quantized.report


_WRITERS: dict[str, Callable[[QuantizedModel], bytes]] = {
    ".tflite": lambda quantized: quantized.file,
    ".onnx": lambda quantized: export_qdq(quantized.graph),
}


AS_GIVEN = "int8 as given"
"""The method, in reports, where nothing but bits was chosen."""


def quantize_imported(
    graph: Graph,
    options: QuantizeOptions,
    say: Say,
    progress: Progress,
    firmware_of: FirmwareOf = chip_firmware,
    attempts: Attempts | None = None,
) -> QuantizedModel:
    """Quantize an imported float graph, or find fewer bits for one of integers where a search is asked for.

    `firmware_of` prices bits for an integer graph. What earlier `attempts` found for the same graph is taken over.
    """
    attempts = attempts or Attempts()
    if options.search is not None and has_integers(graph):
        return _narrow_integers(graph, options, options.search, say, progress, firmware_of, attempts)
    if attempts.integers is None or attempts.integers.searched != (options.search is not None):
        attempts.integers = _quantize_float(graph, options, say, progress)
    made = attempts.integers
    result, report, found = made.result, dict(made.report), made.result.graph
    if options.search is not None:
        drop, firmware, points = _drop(graph, made.data), firmware_of(result.graph), options.max_drop_percent
        mixed = search_bits(
            result.graph, made.calibration, options.search, points, drop, say, progress, firmware, attempts.losses
        )
        found = mixed.graph
        report["steps"] = [*result.steps, *mixed.steps]
        report["precision"] = mixed.report
    report["accuracy"] = None if made.data is None else accuracy(graph, found, made.data, say)
    return QuantizedModel(found, export_tflite(found), report)


def _quantize_float(graph: Graph, options: QuantizeOptions, say: Say, progress: Progress) -> IntegerModel:
    """A float graph in integers of 8 or 16 bits."""
    check_float(graph)
    calibration = load_calibration(options.calibration, graph)
    data = None if options.data is None else load_samples(options.data, graph)
    warnings = warnings_of(graph, calibration, None if data is None else data.inputs)
    for warning in warnings:
        say(f"Warning: {warning}")
    result = quantize_graph(graph, calibration, options.method, options.symmetric, say, progress)
    if options.wide:
        result = all_wide(result)
    if options.max_drop_percent is not None and options.search is None:
        result = _within_budget(graph, result, options.max_drop_percent, calibration, data, say, progress)
    say("Comparing layers")
    shown = calibration.spread(FIGURE_SAMPLES)
    figures = sorted(layer_figures(result.source, result.parameters, shown), key=lambda f: f.sqnr_db)
    report: dict[str, Any] = {
        "method": options.method.value,
        "calibration_samples": len(calibration),
        "warnings": list(warnings),
        "steps": list(result.steps),
        "loss": result.loss,
        "layers": [layer_row(f) for f in figures],
    }
    return IntegerModel(result, calibration, data, report, options.search is not None)


def _narrow_integers(
    graph: Graph,
    options: QuantizeOptions,
    search: SearchOptions,
    say: Say,
    progress: Progress,
    firmware_of: FirmwareOf,
    attempts: Attempts,
) -> QuantizedModel:
    """Fewer bits for a model of int8: its own outputs are the reference."""
    calibration = real_calibration(graph, load_calibration(options.calibration, graph))
    data = None if options.data is None else load_samples(options.data, graph)
    if data is not None:
        data = replace(data, inputs=real_calibration(graph, calibration_for(graph, data.inputs)).inputs)
    drop, firmware = _drop(graph, data), firmware_of(graph)
    points, losses = options.max_drop_percent, attempts.losses
    mixed = search_bits(graph, calibration, search, points, drop, say, progress, firmware, losses)
    report = {
        "method": AS_GIVEN,
        "calibration_samples": len(calibration),
        "warnings": list(warnings_of(graph, calibration)),
        "steps": list(mixed.steps),
        "loss": None,
        "layers": [],
        "precision": mixed.report,
        "accuracy": None if data is None else accuracy(graph, mixed.graph, data, say),
    }
    return QuantizedModel(mixed.graph, export_tflite(mixed.graph), report)


def has_integers(graph: Graph) -> bool:
    """Whether a model computes on quantized integers already."""
    return any(value.type.quant is not None and value.data is None for value in graph.values)


def real_calibration(graph: Graph, samples: Calibration) -> Calibration:
    """Samples of stored integers as the real numbers that they stand for; those of float inputs as they are."""
    kinds = [graph.values[i].type for i in graph.inputs]
    return Calibration(
        tuple(x if k.quant is None else dequantized(x, k.quant) for x, k in zip(samples.inputs, kinds, strict=True))
    )


def _drop(graph: Graph, data: Samples | None) -> Drop | None:
    """What an integer graph loses of the given one's top-1 on labelled samples; None without them."""
    if data is None or data.labels is None or len(graph.outputs) != 1:
        return None
    labels, samples = data.labels, calibration_for(graph, data.inputs)
    before = top1(graph, samples, labels)
    return lambda made: before - top1(made, samples, labels)


def _within_budget(
    graph: Graph,
    result: Quantized,
    most: float,
    calibration: Calibration,
    data: Samples | None,
    say: Say,
    progress: Progress,
) -> Quantized:
    """The result with what it takes to lose at most `most` points of top-1 against float on the data."""
    if data is None or data.labels is None or len(graph.outputs) != 1:
        raise UsageError("--max-drop needs --data with labels y, and a model with one output.")
    labels, samples = data.labels, calibration_for(graph, data.inputs)
    before = top1(graph, samples, labels)
    return keep_budget(result, most, lambda made: before - top1(made, samples, labels), calibration, say, progress)


def check_float(graph: Graph) -> None:
    """Raise UsageError for a model of integers: it needs no quantization."""
    if has_integers(graph):
        raise UsageError("The model holds quantized integers already: leave --quantize out.")


def layer_row(figures: LayerFigures) -> dict[str, Any]:
    """One layer as report.json holds it; an error of 0 has no ratio."""
    row = asdict(figures) | {"dtype": figures.dtype.value}
    row["sqnr_db"] = round(figures.sqnr_db, 2) if isfinite(figures.sqnr_db) else None
    return row | {key: round(row[key], 3) for key in ("used_percent", "clipped_percent")}


def accuracy(source: Graph, integers: Graph, data: Samples, say: Say) -> dict[str, Any] | None:
    """Top-1 in percent of the float graph and of the integer graph; None for data without labels."""
    if data.labels is None or len(source.outputs) != 1:
        return None
    say(f"Comparing accuracy on {len(data)} samples")
    samples = calibration_for(source, data.inputs)
    given, made = top1(source, samples, data.labels), top1(integers, samples, data.labels)
    return {"metric": "top-1 percent", "float": given, "integers": made, "samples": len(data)}


def top1(graph: Graph, samples: Calibration, labels: Array) -> float:
    """Percent of samples whose largest output is that of their label; a quantized graph gets quantized inputs."""
    outputs = run_real(graph, samples.inputs)[0]
    return round(float((outputs.reshape(len(labels), -1).argmax(axis=1) == labels).mean() * 100), 4)


def run_real(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs (N, ...) of a float or an integer graph as real numbers, from real inputs (N, *shape)."""
    operands = []
    for index, x in zip(graph.inputs, inputs, strict=True):
        type_ = graph.values[index].type
        operands.append(x if type_.quant is None else store(x, type_.quant, type_.dtype))
    outputs = run_values(graph, operands, graph.outputs)
    types = [graph.values[i].type for i in graph.outputs]
    return [np.asarray(y) if t.quant is None else dequantized(y, t.quant) for t, y in zip(types, outputs, strict=True)]
