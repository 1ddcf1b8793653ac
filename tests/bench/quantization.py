"""`python -m tests.bench.quantization [ic kws vww ad] [--method fast|best]`: what quantization costs real models.

Prints, for each, the float model's figure, that of the integers, and the CPU seconds that quantization took. The
integers run in LiteRT's kernels without delegates, which give the bytes of tflite-micro's on these convolutional
networks; on ad, whose matrix products LiteRT rounds otherwise, they run in the integer reference.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.quantization_data import Task, load_task
from thimble.compiler.driver.build_folder import import_model, read_file
from thimble.compiler.driver.quantize import run_real
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.dequantize import dequantized
from thimble.quantize.calibration import calibration_for
from thimble.quantize.parameters import store
from thimble.quantize.quantizer import Method, quantize_graph

TASKS = ("ic", "kws", "vww", "ad")


def run_integers(graph: Graph, inputs: Array) -> Array:
    """The outputs of an int8 graph of one input and one output, in LiteRT, as real numbers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=export_tflite(graph), experimental_op_resolver_type=plain, num_threads=1)
    interpreter.allocate_tensors()
    given, made = graph.values[graph.inputs[0]], graph.values[graph.outputs[0]]
    stored = store(inputs, given.quant, given.type.dtype)
    first, last = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for sample in stored:
        interpreter.set_tensor(first["index"], sample.reshape(given.type.shape))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(last["index"]))
    return dequantized(np.concatenate(outputs), made.quant)


def figures(task: Task, method: Method) -> tuple[list[tuple[str, float, float]], tuple[str, ...], float]:
    """(evaluation, float, integers) for each evaluation, the steps of quantization, and its CPU seconds."""
    graph = import_model(read_file(task.model), task.model)
    start = time.process_time()
    made = quantize_graph(graph, calibration_for(graph, [task.calibration]), method)
    seconds = time.process_time() - start
    rows = []
    for evaluation in task.evaluations:
        samples = calibration_for(graph, [evaluation.inputs]).inputs
        integers = run_real(made.graph, samples)[0] if task.name == "ad" else run_integers(made.graph, samples[0])
        before = evaluation.score(evaluation.inputs, run_real(graph, samples)[0])
        rows.append((evaluation.name, before, evaluation.score(evaluation.inputs, integers)))
    return rows, made.steps, seconds


def main() -> None:
    """Quantize, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", metavar="|".join(TASKS))
    parser.add_argument("--method", choices=[method.value for method in Method], default=Method.FAST.value)
    arguments = parser.parse_args()
    console = Console(width=130)
    table = Table(title=f"--quantize {arguments.method}", title_justify="left")
    for column in ("evaluation", "float", "integers", "lost", "CPU, s"):
        table.add_column(column, justify="left" if column == "evaluation" else "right")
    for name in arguments.tasks or TASKS:
        rows, steps, seconds = figures(load_task(name), Method(arguments.method))
        for line in steps:
            console.print(f"{name}: {line}", markup=False)
        for evaluation, before, after in rows:
            table.add_row(evaluation, f"{before:.4f}", f"{after:.4f}", f"{before - after:+.4f}", f"{seconds:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
