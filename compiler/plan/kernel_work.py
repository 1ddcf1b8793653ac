"""What a kernel call has to do, as numbers that its cycles follow: multiplications, rows laid out, weights read.

Kernels say with the names of their parameters in what portions they work: `rows_at_once`, `columns` (windows at once),
`pixels_at_once`, `tile_rows`. Everything else comes from the shapes. The counts are those of the loops, with
what they do in vain: four pixels at a time are four where only one is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.call_shape import FILLED, CallShape, NodeSize, Work
from thimble.compiler.plan.depthwise_work import (
    PLACES,
    by_direct_rows,
    by_filled_planes,
    by_pixels,
    by_places,
    by_planes,
    by_steps,
)
from thimble.compiler.plan.matrix_work import (
    WEIGHT_WORD,
    by_columns,
    by_filling,
    by_matrices,
    by_rows,
    by_side_by_side,
    by_tiles,
    by_window_pixels,
    by_window_vectors,
)
from thimble.compiler.plan.scalar_work import by_blocks, by_windows
from thimble.compiler.plan.vector_work import by_vectors

NARROW_COUNTS = ("unpacked", "packed", "fields", "pairs", "chunks")
"""What kernels for int8 do more on fewer bits: elements `unpacked` before and `packed` behind them, in so many
`chunks`; weights that are unpacked (`fields`), by calls for single `pairs` of channels where not all at once."""

FORM_COUNTS = (
    *("products", "loads", "ties", "scattered", "taps", "laid_rows"),
    *("lines", "rests", "moved", "made"),
)
"""What kernels of some forms count besides: `products` of two taps or two pixels at once, in kernels of blocks of
channels of each tap; `loads` of elements, weights or vectors; outputs whose halves are rounded away from zero (`ties`),
with vectors each step of a requantization that few layers need; what is `scattered` by way of pointers, lane by lane or
byte by byte; `taps` that are unpacked or laid out one by one; `laid_rows`: rows, or runs of taps, that are laid out;
`lines`: rows of windows, or turns of a loop over taps, in inner loops; `rests` of channels that fill no vector; vectors
of weights `moved` on by a row; outputs `made`, those in vain too."""


COUNTS = (
    *("calls", "kernels", "rows", "outputs", "macs", "inputs", "laid_out", "weights", "portions", "starts", "runs"),
    *FORM_COUNTS,
)
"""`calls` of the layer's function; calls of its `kernels`; `rows` of the output, or pieces of rows that a kernel takes
one by one; output elements; multiply-accumulates, those in vain too; input elements; elements `laid_out` in scratch;
bytes of `weights` read for all `portions`, each of which goes over all weights once; `starts`: channels, or groups of
them, that are begun in all portions; `runs`: inner loops, whose beginning and end take time of their own."""


@dataclass(frozen=True, slots=True)
class NodeWork:
    """A node's size and the kernel calls by which it runs whole and, where it can, by rows."""

    size: NodeSize
    whole: tuple[CallShape, ...]
    by_rows: tuple[CallShape, ...] = ()

    @classmethod
    def of(cls, site: Site, rounding: Rounding) -> NodeWork:
        """The work of a node with the kernels that it has."""
        whole = tuple(CallShape.of(call, False) for call in site.lower(rounding))
        by_rows = tuple(CallShape.of(call, True) for call in site.lower_rows(rounding)) if site.op.rows(site) else ()
        return cls(NodeSize.of(site), whole, by_rows)

    def calls(self, rows: float | None) -> tuple[tuple[str, Work], ...]:
        """Kernel and work of each kernel call: of the whole node, or of one call of its function on some rows."""
        shapes, count = (self.whole, self.size.steps) if rows is None else (self.by_rows, rows)
        calls = [part for shape in shapes for part in shape.parts or (shape,)]
        return tuple((part.kernel, _work(part, self.size, count)) for part in calls)


def _work(call: CallShape, node: NodeSize, rows: float) -> Work:
    """What a call of the layer's function for `rows` of a node's rows makes its kernel do."""
    share = min(rows / node.steps, 1.0)
    plain = {
        "calls": 1.0,
        "kernels": rows if call.for_one_row else 1.0,
        "rows": rows,
        "outputs": share * node.outputs,
        "macs": share * node.macs,
        "inputs": share * node.inputs,
    }
    work = plain | _portioned(call, plain, rows)
    return work | _unpacking(call, node, share, work) if node.is_narrow else work


def _unpacking(call: CallShape, node: NodeSize, share: float, work: Work) -> dict[str, float]:
    """What a kernel for int8 does more where it stands in one for fewer bits, by the name of that one."""
    tags, found = set(call.kernel.split("_")), dict[str, float]()
    if any(tag.startswith("packed") for tag in tags):
        found |= {"unpacked": share * node.narrow_inputs, "packed": share * node.narrow_outputs}
        at_once = call.numbers.get("at_once", 1)
        pixels = call.numbers.get("pixels")
        found["chunks"] = work["kernels"] * ceil(pixels / at_once) if pixels else ceil(work["rows"] / at_once)
    if call.kernel.startswith("conv_2d") and tags & {"w2", "w4"} and call.prepared and "portions" in work:
        once = "once" in tags
        found["fields"] = node.narrow_weights * (1.0 if once else work["portions"])
        found["pairs"] = 0.0 if once else work["starts"]
    return found


def _portioned(call: CallShape, plain: Work, rows: float) -> dict[str, float]:
    """The amounts that depend on a kernel's portions, by the parameters that it has.

    Of kernels that do not say in what portions they work, all is counted as if it were one.
    """
    n, vectors = call.numbers, by_vectors(call, plain, rows)
    if vectors is not None:
        return vectors
    if FILLED in n:
        return by_filled_planes(call) if "packed_height" in n else by_filling(call)
    for needed, count in _PORTIONED:
        if n.keys() >= needed:
            return count(call, rows)
    return _counted_at_once(call, plain) | by_blocks(call, plain, rows)


def _counted_at_once(call: CallShape, plain: Work) -> dict[str, float]:
    """The amounts of a kernel that is counted as one portion."""
    n = call.numbers
    if "columns_at_once" in n:
        return by_matrices(n, plain)
    if call.kernel.startswith(PLACES):
        return by_places(call, plain)
    if "kernel_height" in n and "pad_top" in n and not call.prepared:
        return by_windows(call, plain)
    if n.get("direct"):  # a row is widened in registers for each block of channels
        words = plain["inputs"] / WEIGHT_WORD
        return {"runs": words * ceil(n["channels"] / n["block"]), "weights": float(call.table_bytes)}
    return {"laid_out": plain["inputs"], "weights": float(call.table_bytes)} if call.prepared else {}


_IMAGE = frozenset({"kernel_height", "output_width", "output_height"})
_CHANNELS = frozenset({"input_channels", "output_channels", "input_width", "pad_left"})
_PLANES = frozenset({"rows_at_once", "channels", "row_words", "packed_height", "packed_width", "stride_height"})
_PORTIONED: tuple[tuple[frozenset[str], Callable[[CallShape, float], dict[str, float]]], ...] = (
    (_IMAGE | _PLANES, by_planes),
    (_IMAGE | {"rows_at_once", "channels", "channel_words", "input_width", "pad_top"}, by_direct_rows),
    (frozenset({"windows", "depth", "output_channels", "output_width"}), by_window_pixels),
    (frozenset({"tiles", "tile_rows", "input_channels", "output_channels"}), by_tiles),
    (_IMAGE | {"pixels_at_once", "channels", "groups", "kernel_width"}, by_pixels),
    (_IMAGE | {"quad_words", "channels", "rounds_ties"}, by_steps),
    (_IMAGE | _CHANNELS | {"row_pixels", "rows_at_once", "stride_height", "kernel_width"}, by_rows),
    (frozenset({"pixels_at_once", "rows_at_once", "skipped_steps", "output_width"}), by_side_by_side),
    (frozenset({"columns", "depth", "output_channels", "output_width", "kernel_height"}), by_columns),
    (_IMAGE | {"block", "depth", "output_channels"}, by_window_vectors),
)
"""Which parameters tell that a kernel works in which portions."""
