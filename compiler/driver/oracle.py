"""Reference runtimes: the given model, run by the runtime whose bytes define correct."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata

import numpy as np

from thimble.compiler.driver.data import Samples, as_in_source
from thimble.compiler.driver.reference_process import Opening, ReferenceProcess, RuntimeDies, RuntimeRefuses
from thimble.compiler.importers.tflite.edits import first_operators, without_absent_biases
from thimble.compiler.importers.tflite.file import read_model
from thimble.compiler.ir.errors import ToolMissing, UsageError
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.packed import is_packed

ONNX_RUNTIME = "onnxruntime"
_RUNTIMES = {Rounding.TFLM: "tflite-micro", Rounding.LITERT: "LiteRT"}
_INSTALL = "install it with: pip install 'thimble[verify]'"


def has_oracle(graph: Graph, rounding: Rounding) -> bool:
    """Whether the reference runtime knows all types of a graph: of int4 constant weights only, of int2 nothing.

    LiteRT's FULLY_CONNECTED is left out on int4, which is rounded twice here whatever the rounding; that of TFLite
    Micro takes int4 weights with one scale alone.
    """
    for site in graph.sites:
        weighted = isinstance(site.op, WeightedOperator)
        dense = isinstance(site.op, FullyConnected) and is_packed(site)
        if dense and (rounding is Rounding.LITERT or not site.input(1).quant.per_tensor):
            return False
        for position, value in enumerate((*site.inputs, *site.outputs)):
            if value is None or not value.type.dtype.is_packed:
                continue
            if not (weighted and position == 1 and value.type.dtype is DType.INT4):
                return False
    return True


def oracle_name(rounding: Rounding) -> str:
    """Name and version of the runtime that a build with this rounding is checked against."""
    package, label = {
        Rounding.TFLM: ("tflite-micro", "tflite-micro {} (reference kernels)"),
        Rounding.LITERT: ("ai-edge-litert", "LiteRT {} (BUILTIN_REF)"),
    }[rounding]
    try:
        return label.format(metadata.version(package))
    except metadata.PackageNotFoundError as error:
        raise ToolMissing(f"The reference runtime {package} is not installed; {_INSTALL}.") from error


def run_oracle(model: bytes, graph: Graph, samples: Samples, rounding: Rounding) -> Iterator[list[Array]]:
    """Outputs of the reference runtime, sample by sample; state carries over from one to the next."""
    with _opened(model, graph, rounding) as reference:
        for index in range(len(samples)):
            yield reference.invoke(samples.sample(index))


def trace_oracle(model: bytes, graph: Graph, samples: Samples, sample: int, rounding: Rounding) -> dict[int, Array]:
    """Every tensor of the reference runtime after `sample`, by its index in the file; earlier samples run first."""
    tensors = {value.tensor for value in graph.values if value.tensor is not None}
    with _opened(model, graph, rounding, preserve=True) as reference:
        for index in range(0 if graph.states else sample, sample + 1):
            reference.invoke(samples.sample(index))
        return {tensor: reference.tensor(tensor) for tensor in tensors}


@contextmanager
def _opened(model: bytes, graph: Graph, rounding: Rounding, preserve: bool = False) -> Iterator[ReferenceProcess]:
    """The reference runtime with a model; where it refuses it or dies of it, a sentence that says what can be done."""
    oracle_name(rounding)
    # Ten times the model, TFLite Micro's default, is too little where a small model has large tensors.
    arena = 10 * len(model) + 2 * sum(value.type.bytes for value in graph.values) + (1 << 20)
    readable = without_absent_biases(model) if rounding is Rounding.TFLM else model
    opening = Opening(rounding, readable, len(graph.outputs), arena, preserve)
    try:
        with ReferenceProcess(opening) as reference:
            yield reference
    except RuntimeRefuses as error:
        raise UsageError(_nothing_to_compare(rounding, f"refuses this model ({error})")) from error
    except RuntimeDies as error:
        given = error.given if graph.states else error.given[-1:]
        operator = read_model(model).subgraphs[0].operators[_deadly_operator(opening, given)]
        raise UsageError(_nothing_to_compare(rounding, f"dies {error} at {operator.source} of this model")) from error


def _nothing_to_compare(rounding: Rounding, what: str) -> str:
    other = Rounding.LITERT if rounding is Rounding.TFLM else Rounding.TFLM
    return (
        f"{_RUNTIMES[rounding]} {what}, so there is nothing to compare with; "
        f"compile it with --rounding {other.value} to compare it with {_RUNTIMES[other]}."
    )


def _deadly_operator(opening: Opening, given: list[list[Array]]) -> int:
    """The index of the operator with which a runtime dies of the inputs that it was given, and without which not."""
    alive, dead = 0, len(read_model(opening.model).subgraphs[0].operators)
    while dead - alive > 1:
        count = (alive + dead) // 2
        part = replace(opening, model=first_operators(opening.model, count), outputs=1)
        alive, dead = (alive, count) if _dies(part, given) else (count, dead)
    return dead - 1


def _dies(opening: Opening, given: list[list[Array]]) -> bool:
    try:
        with ReferenceProcess(opening) as reference:
            for inputs in given:
                reference.invoke(inputs)
    except RuntimeRefuses:
        return False
    except RuntimeDies:
        return True
    return False


def onnx_runtime_name() -> str:
    """Name and version of the runtime whose accuracy an ONNX model is measured with."""
    try:
        return f"{ONNX_RUNTIME} {metadata.version(ONNX_RUNTIME)}"
    except metadata.PackageNotFoundError as error:
        raise ToolMissing(f"The reference runtime {ONNX_RUNTIME} is not installed; {_INSTALL}.") from error


def run_onnx(model: bytes, graph: Graph, samples: Samples) -> Iterator[list[Array]]:
    """Outputs of onnxruntime for an ONNX model, sample by sample, in the model's own order of dimensions."""
    onnx_runtime_name()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if any(value.type.dtype.is_packed for value in graph.values):
        # Its fusions of QuantizeLinear and DequantizeLinear know 8 and 16 bits alone, and refuse the model else.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen kinds of its own
        raise UsageError(f"onnxruntime refuses this model ({str(error).partition(chr(10))[0][:200]}).") from error
    values = [graph.values[i] for i in graph.inputs]
    wanted = [entry.type for entry in session.get_inputs()]
    for index in range(len(samples)):
        arrays = [as_in_source(a, v) for a, v in zip(samples.sample(index), values, strict=True)]
        feeds = {v.name: _real(a, v, t) for a, v, t in zip(arrays, values, wanted, strict=True)}
        yield [np.asarray(output) for output in session.run(None, feeds)]


def _real(array: Array, value: Value, wanted: str) -> Array:
    """Integers as the reals they stand for, where the given model takes floats and the firmware integers."""
    if wanted == "tensor(float)" and array.dtype.kind != "f" and value.type.quant is not None:
        return dequantized(array, value.type.quant)
    return array
