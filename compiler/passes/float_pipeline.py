"""The passes that a freshly imported graph goes through before it is quantized, or taken as it is."""

from __future__ import annotations

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.support import computes_in_float
from thimble.compiler.passes.cancel_transposes import cancel_transposes
from thimble.compiler.passes.fold_padding import fold_padding
from thimble.compiler.passes.fold_scaling import fold_scaling
from thimble.compiler.passes.fuse_activations import fuse_activations
from thimble.compiler.passes.integer_form import integer_form
from thimble.compiler.passes.merge_reshapes import merge_reshapes
from thimble.compiler.passes.permute_weights import permute_weights
from thimble.compiler.passes.pipeline import REMOVE_DEAD, Pass, run_passes

FLOAT_PASSES: tuple[Pass, ...] = (
    REMOVE_DEAD,
    Pass("cancel-transposes", cancel_transposes),
    Pass("merge-reshapes", merge_reshapes),
    Pass("fold-padding", fold_padding),
    Pass("fold-scaling", fold_scaling),
    Pass("fuse-activations", fuse_activations),
    Pass("integer-form", integer_form),
    REMOVE_DEAD,  # floats that nobody reads any more must not hold back the last one
    Pass("permute-weights", permute_weights),
    REMOVE_DEAD,
)
"""They keep what a float graph computes up to rounding; integer nodes they leave alone."""


MAX_NODES = 1 << 12
"""Networks with more nodes fit no microcontroller; they are left alone, as the passes would take long over them."""


def prepare(graph: Graph) -> Graph:
    """The graph with batch normalization, activations and padding folded, and integer operators where it has them."""
    if len(graph.nodes) > MAX_NODES or not any(map(_is_unfinished, graph.sites)):
        return graph
    return run_passes(graph, FLOAT_PASSES)


def _is_unfinished(site: Site) -> bool:
    """Whether a node computes in float, or quantizes as ONNX does."""
    return computes_in_float(site) or (isinstance(site.op, Quantize) and site.op.ties_to_even)
