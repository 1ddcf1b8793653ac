"""`python -m tests.bench.narrow_all MODEL OUT [--weights 4] [--activations 4]`: an int8 model, all of it in fewer bits.

For bytes and cycles alone: weights are rounded to the scale of least squared error, activations keep their range, and
nothing is mended. `thimble compile OUT` measures it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from thimble.compiler.driver.build_folder import import_model, read_file
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.softmax import Softmax
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights, on_fewer_levels
from thimble.quantize.weights import has_weights


def narrowed(graph: Graph, weight_bits: int, activation_bits: int) -> Graph:
    """The graph with all weights, and all activations inside, of so many bits."""
    weights, values = {}, {}
    if weight_bits < 8:
        weights = {
            i: narrow_weights(site, DType(f"int{weight_bits}"))
            for i, site in enumerate(graph.sites)
            if has_weights(site)
        }
    if activation_bits < 8:
        fixed = {i for n in graph.nodes if isinstance(n.op, Softmax | Logistic) for i in n.outputs} | {*graph.outputs}
        for index, value in enumerate(graph.values):
            quant = value.type.quant
            if value.role is Role.ACTIVATION and value.type.dtype is DType.INT8 and quant and index not in fixed:
                dtype = DType(f"int{activation_bits}")
                values[index] = NarrowValue(dtype, on_fewer_levels(quant, dtype))
    return narrow(graph, weights, values).graph


def main() -> None:
    """Read, narrow, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=int, choices=(8, 4, 2), default=8)
    parser.add_argument("--activations", type=int, choices=(8, 4, 2), default=8)
    given = parser.parse_args()
    graph = import_model(read_file(given.model), given.model)
    given.out.write_bytes(export_tflite(narrowed(graph, given.weights, given.activations)))


if __name__ == "__main__":
    main()
