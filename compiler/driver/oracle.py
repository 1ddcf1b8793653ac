"""Reference runtimes: the given model, run by the runtime whose bytes define correct."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from thimble.compiler.driver.data import Samples, as_in_source
from thimble.compiler.ir.errors import ToolMissing, UsageError
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import dequantized
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.packed import is_packed

Invoke = Callable[[list[Array]], list[Array]]
Read = Callable[[int], Array]

ONNX_RUNTIME = "onnxruntime"
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
    invoke, _ = _open_oracle(model, graph, rounding)
    for index in range(len(samples)):
        yield invoke(samples.sample(index))


def trace_oracle(model: bytes, graph: Graph, samples: Samples, sample: int, rounding: Rounding) -> dict[int, Array]:
    """Every tensor of the reference runtime after `sample`, by its index in the file; earlier samples run first."""
    tensors = {value.tensor for value in graph.values if value.tensor is not None}
    invoke, read = _open_oracle(model, graph, rounding, preserve=True)
    for index in range(0 if graph.states else sample, sample + 1):
        invoke(samples.sample(index))
    return {tensor: read(tensor) for tensor in tensors}


def _open_oracle(model: bytes, graph: Graph, rounding: Rounding, preserve: bool = False) -> tuple[Invoke, Read]:
    """Functions that run one inference and read any tensor; the latter is sound only with `preserve`."""
    oracle_name(rounding)
    return _open_tflm(model, graph, preserve) if rounding is Rounding.TFLM else _open_litert(model, preserve)


def _open_tflm(model: bytes, graph: Graph, preserve: bool) -> tuple[Invoke, Read]:
    from tflite_micro import runtime

    # Ten times the model, its default, is too little where a small model has large tensors.
    largest = sum(value.type.bytes for value in graph.values)
    arena = 10 * len(model) + 2 * largest + (1 << 20)
    config = runtime.InterpreterConfig
    mode = config.kPreserveAllTensors if preserve else config.kAllocationRecording
    with _tflm_refusals():
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena, intrepreter_config=mode)

    def invoke(inputs: list[Array]) -> list[Array]:
        for position, array in enumerate(inputs):
            interpreter.set_input(array, position)
        with _tflm_refusals():
            interpreter.invoke()
        return [np.array(interpreter.get_output(k)) for k in range(len(graph.outputs))]

    def read(tensor: int) -> Array:
        return np.array(interpreter.GetTensor(tensor, 0)["tensor_data"])

    return invoke, read


@contextmanager
def _refusals(runtime: str, other: Rounding, other_runtime: str) -> Iterator[None]:
    """A runtime's refusal of a model as a sentence that says what can be done."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{runtime} refuses this model, so there is nothing to compare with ({reason}); "
            f"compile it with --rounding {other.value} to compare it with {other_runtime}."
        ) from error


_tflm_refusals = partial(_refusals, "tflite-micro", Rounding.LITERT, "LiteRT")
_litert_refusals = partial(_refusals, "LiteRT", Rounding.TFLM, "tflite-micro")


def _open_litert(model: bytes, preserve: bool) -> tuple[Invoke, Read]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with _litert_refusals():
        interpreter: Any = Interpreter(
            model_content=model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=preserve,
            num_threads=1,
        )
        interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def invoke(arrays: list[Array]) -> list[Array]:
        for detail, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        with _litert_refusals():
            interpreter.invoke()
        return [np.array(interpreter.get_tensor(detail["index"])) for detail in outputs]

    return invoke, lambda tensor: np.array(interpreter.get_tensor(tensor))


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
