"""`thimble verify`: the reference runtime, the integer reference, C on the host and C on the target, byte by byte."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thimble.compiler.driver.build_folder import Build, open_build, write_report
from thimble.compiler.driver.data import Samples, load_samples, model_samples
from thimble.compiler.driver.latency import merge_trace
from thimble.compiler.driver.localize import first_differing_layer
from thimble.compiler.driver.oracle import has_oracle, onnx_runtime_name, oracle_name, run_onnx, run_oracle
from thimble.compiler.driver.quantize import top1
from thimble.compiler.driver.run import BOTH, HOST, TARGET, Outputs, Say, open_samples, places, run_host, run_target
from thimble.compiler.importers.pytorch import onnx_form
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.executor import Executor
from thimble.quantize.calibration import calibration_for

REFERENCE = "integer reference"
Progress = Callable[[Iterable[list[Array]], str, int], Iterable[list[Array]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one runtime's outputs compare with the oracle's; `first` is (sample, output, element) or None."""

    runtime: str
    samples: int
    mismatched_values: int
    max_abs_diff: float
    first: tuple[int, int, int] | None
    expected: float | None = None
    got: float | None = None


def silent(items: Iterable[list[Array]], what: str, count: int) -> Iterable[list[Array]]:
    """No progress shown."""
    return items


def verify_build(
    folder: Path,
    data: Path | None = None,
    on: str = BOTH,
    limit: int | None = None,
    say: Say = lambda _: None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compare all runtimes over the data (random inputs where there is none) and merge the result into report.json.

    Returns the report; its "verify" says how many values differ. Raises the ThimbleError of a runtime that fails.
    """
    build = open_build(folder)
    wanted = places(on)
    samples = open_samples(build, data, limit)
    given = model_samples(samples, build.interface)
    known = build.source_format != "tflite" or has_oracle(build.graph, build.rounding)
    integers_define = build.source_format != "tflite" or not known
    reference = REFERENCE if integers_define else oracle_name(build.rounding)
    with ThreadPoolExecutor(1) as pool:  # the host program runs on the other core meanwhile
        host = pool.submit(run_host, build, samples) if HOST in wanted else None
        outputs = {REFERENCE: list(progress(_run_reference(build, samples), REFERENCE, len(samples)))}
        model_outputs = list(progress(_run_given(build, given), _runtime(build), len(samples))) if known else None
        if host is not None:
            say("Waiting for the C on this machine, under the sanitizers")
            outputs[HOST] = host.result()
    if TARGET in wanted:
        say(f"Running {len(samples)} samples on the simulated {build.target.name}")
        outputs[TARGET], trace = run_target(build, samples)
        merge_trace(build.report, trace)
    outputs = {place: [build.interface.model_outputs(o) for o in made] for place, made in outputs.items()}
    if model_outputs is None:
        model_outputs = outputs[REFERENCE]
    oracle = outputs.pop(REFERENCE) if integers_define else model_outputs
    comparisons = [compare(runtime, result, oracle) for runtime, result in outputs.items()]
    build.report["verify"] = _summary(build, samples, reference, comparisons)
    build.report["accuracy"] = _accuracy(samples, model_outputs, outputs, _float_top1(build, samples, data, limit))
    write_report(folder, build.report)
    return build.report


def compare(runtime: str, outputs: Outputs, oracle: Outputs) -> Comparison:
    """Count the values whose bytes differ from the oracle's."""
    mismatched, largest, first, expected, got = 0, 0.0, None, None, None
    for index, (ours, theirs) in enumerate(zip(outputs, oracle, strict=True)):
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            different = np.flatnonzero(_bytes(a) != _bytes(b))
            elements = np.unique(different // a.dtype.itemsize)
            if not elements.size:
                continue
            left, right = a.reshape(-1)[elements], b.reshape(-1)[elements]
            mismatched += int(elements.size)
            largest = max(largest, float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max()))
            if first is None:
                first = (index, number, int(elements[0]))
                expected, got = float(right[0]), float(left[0])
    return Comparison(runtime, len(outputs), mismatched, largest, first, expected, got)


def _bytes(array: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _runtime(build: Build) -> str:
    """The runtime of the given model."""
    return oracle_name(build.rounding) if build.source_format == "tflite" else onnx_runtime_name()


def _run_given(build: Build, samples: Samples) -> Iterator[list[Array]]:
    """Outputs of the given model in its own runtime.

    They define what is correct for a TFLite model; for others, whose runtime rounds otherwise, the integer reference
    does, and the runtime says what accuracy was before. Programs of PyTorch run in onnxruntime too.
    """
    if build.source_format != "tflite":
        model = onnx_form(build.model) if build.source_format == "pt2" else build.model
        return run_onnx(model, build.graph, samples)
    return run_oracle(build.model, build.graph, samples, build.rounding)


def _run_reference(build: Build, samples: Samples) -> Iterator[list[Array]]:
    executor = Executor(build.graph, build.rounding)
    for index in range(len(samples)):
        yield executor.invoke(samples.sample(index))


def _summary(build: Build, samples: Samples, reference: str, comparisons: list[Comparison]) -> dict[str, Any]:
    worst = next((c for c in comparisons if c.mismatched_values), None)
    return {
        "samples": len(samples),
        "data": samples.source,
        "reference": reference,
        "mismatched_values": sum(c.mismatched_values for c in comparisons),
        "max_abs_diff": max(c.max_abs_diff for c in comparisons),
        "first_mismatch": None if worst is None else _first_mismatch(build, samples, worst),
        "runtimes": [
            {
                "runtime": c.runtime,
                "samples": c.samples,
                "mismatched_values": c.mismatched_values,
                "max_abs_diff": c.max_abs_diff,
            }
            for c in comparisons
        ],
    }


def _first_mismatch(build: Build, samples: Samples, comparison: Comparison) -> dict[str, Any]:
    assert comparison.first is not None
    sample, output, element = comparison.first
    with tempfile.TemporaryDirectory() as folder:
        layer = first_differing_layer(build, samples, comparison.runtime, sample, Path(folder))
    return {
        "runtime": comparison.runtime,
        "sample": sample,
        "output": output,
        "element": element,
        "expected": comparison.expected,
        "got": comparison.got,
        "layer": layer,
    }


def _float_top1(build: Build, samples: Samples, data: Path | None, limit: int | None) -> float | None:
    """Top-1 in percent of the float model that a build was quantized from; None where there is none, or no labels.

    It gets the data as it is; where that is stored integers, the real numbers that they stand for.
    """
    graph = build.float_graph
    if graph is None or data is None or samples.labels is None or len(graph.outputs) != 1:
        return None
    try:
        inputs = load_samples(data, graph, limit).inputs
    except UsageError:
        quants = [build.graph.values[i].quant for i in build.graph.inputs]
        inputs = tuple(dequantized(x, quant) for x, quant in zip(samples.inputs, quants, strict=True))
    return top1(graph, calibration_for(graph, inputs), samples.labels)


def _accuracy(
    samples: Samples, oracle: Outputs, outputs: dict[str, Outputs], float_top1: float | None
) -> dict[str, Any] | None:
    """Top-1 in percent of the given model and of the last place that ran; None without labels.

    The given model is the float one where the build quantized it, else the integer one in its reference runtime.
    """
    if samples.labels is None or len(oracle[0]) != 1:
        return None
    runtime, ours = list(outputs.items())[-1]
    integers = _top1(oracle, samples.labels)
    return {
        "metric": "top-1 percent",
        "reference": integers if float_top1 is None else float_top1,
        "reference_model": "float" if float_top1 is not None else "given",
        "simulated": _top1(ours, samples.labels),
        "simulated_on": runtime,
        "samples": len(samples),
    }


def _top1(outputs: Outputs, labels: Array) -> float:
    predicted = np.array([int(np.argmax(sample[0])) for sample in outputs])
    return round(float((predicted == labels).mean() * 100), 4)
