"""What a kernel call has to do, as numbers that its cycles follow: multiplications, rows laid out, weights read.

Kernels say with the names of their parameters in what portions they work: `rows_at_once`, `columns` (windows at once),
`pixels_at_once`, `tile_rows`. Everything else comes from the shapes. The counts are those of the loops, with
what they do in vain: four pixels at a time are four where only one is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import (
    Accumulator,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    OutputRows,
    Rounding,
    Table,
)

PIXELS = 4
"""Output pixels that matrix products make at a time."""

WEIGHT_WORD = 4
"""Weights of a word: depths are made multiples of it."""

PLACES = "depthwise_conv_2d_scalar"
"""How the names of depthwise kernels begin that go by a table of places."""

SINGLES = "_singles"
"""How the names of compact pointwise kernels end that make one or two pixels alone."""

PLANE_REGISTERS = 6
"""Words of weights that kernels along planes keep in registers; more of them are loaded for each block."""

ALONE = 0.4
"""Of the time of four pixels what one takes that is made alone."""

MAX_TAPS_COUNTED = 1 << 16
"""Along one side of an image; borders of larger ones do not count."""

Work = Mapping[str, float]
"""Amounts by name, as COUNTS lists them."""

NARROW_COUNTS = ("unpacked", "packed", "fields", "pairs", "chunks")
"""What kernels for int8 do more on fewer bits: elements `unpacked` before and `packed` behind them, in so many
`chunks`; weights that are unpacked (`fields`), by calls for single `pairs` of channels where not all at once."""

PLANE_COUNTS = ("products", "loads", "ties", "scattered", "taps", "laid_rows")
"""What only depthwise kernels along planes count: `products` of two taps at once, `loads` of two elements or weights,
outputs whose halves are rounded away from zero (`ties`) or that are `scattered` by way of pointers, `taps` that are
unpacked one by one, `laid_rows` of four channels."""

COUNTS = (
    *("calls", "kernels", "rows", "outputs", "macs", "inputs", "laid_out", "weights", "portions", "starts", "runs"),
    *PLANE_COUNTS,
)
"""`calls` of the layer's function; calls of its `kernels`; `rows` of the output, or pieces of rows that a kernel takes
one by one; output elements; multiply-accumulates, those in vain too; input elements; elements `laid_out` in scratch;
bytes of `weights` read for all `portions`, each of which goes over all weights once; `starts`: channels, or groups of
them, that are begun in all portions; `runs`: inner loops, whose beginning and end take time of their own."""


@dataclass(frozen=True, slots=True)
class NodeSize:
    """Elements of all inputs and outputs of a node, its multiply-accumulates and its steps by rows.

    Of inputs, weights and outputs the `narrow_` ones are elements below 8 bits.
    """

    inputs: int
    outputs: int
    macs: int
    steps: int
    narrow_inputs: int = 0
    narrow_weights: int = 0
    narrow_outputs: int = 0

    @property
    def is_narrow(self) -> bool:
        """Whether anything has fewer than 8 bits."""
        return bool(self.narrow_inputs or self.narrow_weights or self.narrow_outputs)

    @classmethod
    def of(cls, site: Site, steps: int) -> NodeSize:
        """The size of a node that makes its output in so many steps."""
        given = [v.type for v in site.inputs if v is not None and v.role is not Role.CONSTANT]
        constants = [v.type for v in site.inputs if v is not None and v.role is Role.CONSTANT]
        made = [v.type for v in site.outputs]
        return cls(
            inputs=sum(t.elements for t in given),
            outputs=sum(t.elements for t in made),
            macs=site.op.macs(site),
            steps=max(steps, 1),
            narrow_inputs=sum(t.elements for t in given if t.dtype.is_packed),
            narrow_weights=sum(t.elements for t in constants if t.dtype.is_packed),
            narrow_outputs=sum(t.elements for t in made if t.dtype.is_packed),
        )


@dataclass(frozen=True, slots=True)
class CallShape:
    """What is left of a kernel call to count its work: its name, its numbers, and the bytes of its tables.

    `for_one_row`: it is called once for each row. `prepared`: its weights were laid out for it offline.
    """

    kernel: str
    numbers: Mapping[str, int]
    table_bytes: int
    for_one_row: bool
    prepared: bool

    @classmethod
    def of(cls, call: KernelCall, by_rows: bool) -> CallShape:
        """The shape of a call; `by_rows` where it is one of a row form."""
        # Kernels around others hold the parameters of these as "kernel.<name>".
        numbers = {name.rpartition(".")[2]: value for name, value in call.params if isinstance(value, int)}
        tables = sum(a.data.nbytes for a in call.arguments if isinstance(a, Table))
        kinds = (InputRows, OutputRows, FirstRow, EndRow, Accumulator)
        one_row = by_rows and not any(isinstance(argument, kinds) for argument in call.arguments)
        as_given = packed_entry(call.kernel) != call.kernel or Input(1) in call.arguments
        prepared = call.source is not None and tables > 0 and not as_given
        return cls(call.kernel, numbers, tables, one_row, prepared)

    def work(self, node: NodeSize, rows: float) -> Work:
        """What a call of the layer's function for `rows` of a node's rows makes this kernel do."""
        share = min(rows / node.steps, 1.0)
        plain = {
            "calls": 1.0,
            "kernels": rows if self.for_one_row else 1.0,
            "rows": rows,
            "outputs": share * node.outputs,
            "macs": share * node.macs,
            "inputs": share * node.inputs,
        }
        work = plain | _portioned(self, plain, rows)
        return work | _unpacking(self, node, share, work) if node.is_narrow else work


@dataclass(frozen=True, slots=True)
class NodeWork:
    """A node's size and the kernel calls by which it runs whole and, where it can, by rows."""

    size: NodeSize
    whole: tuple[CallShape, ...]
    by_rows: tuple[CallShape, ...] = ()

    @classmethod
    def of(cls, site: Site, rounding: Rounding) -> NodeWork:
        """The work of a node with the kernels that it has."""
        form = site.op.rows(site)
        whole = tuple(CallShape.of(call, False) for call in site.lower(rounding))
        by_rows = tuple(CallShape.of(call, True) for call in site.lower_rows(rounding)) if form else ()
        return cls(NodeSize.of(site, form.steps if form else 1), whole, by_rows)

    def calls(self, rows: float | None) -> tuple[tuple[str, Work], ...]:
        """Kernel and work of each kernel call: of the whole node, or of one call of its function on some rows."""
        shapes, count = (self.whole, self.size.steps) if rows is None else (self.by_rows, rows)
        return tuple((shape.kernel, shape.work(self.size, count)) for shape in shapes)


def packed_entry(kernel: str) -> str:
    """The entry of a plain kernel for elements below 8 bits among the costs; of any other kernel its name."""
    found = re.fullmatch(r"(.+?)((?:_[sw][248])+)", kernel)
    return f"{found[1]}_packed" if found and re.search("[24]", found[2]) else kernel


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
    n = call.numbers
    for needed, count in _PORTIONED:
        if n.keys() >= needed:
            return count(call, rows)
    if "columns_at_once" in n:
        return _by_matrices(n, plain)
    if call.kernel.startswith(PLACES):
        return _by_places(call, plain)
    if "kernel_height" in n and "pad_top" in n and not call.prepared:
        return _by_windows(n, plain)
    if n.get("direct"):  # a row is widened in registers for each block of channels
        words = plain["inputs"] / WEIGHT_WORD
        return {"runs": words * ceil(n["channels"] / n["block"]), "weights": float(call.table_bytes)}
    return {"laid_out": plain["inputs"], "weights": float(call.table_bytes)} if call.prepared else {}


def _by_places(call: CallShape, plain: Work) -> dict[str, float]:
    """Depthwise convolutions by a table of where the input under each tap lies, made for each pixel."""
    pixels = plain["outputs"] / call.numbers["channels"]
    return {"laid_out": plain["macs"] / call.numbers["channels"], "weights": float(call.table_bytes), "starts": pixels}


def _by_windows(n: Mapping[str, int], plain: Work) -> dict[str, float]:
    """Kernels that go over each output's window tap by tap, a run over the input channels under each."""
    taps = plain["outputs"] * n["kernel_height"] * n["kernel_width"] * _inside(n)
    return {"macs": taps * n.get("group_channels", 1), "runs": taps}


def _inside(n: Mapping[str, int]) -> float:
    """The share of a window's taps that lie inside of the input, over all windows."""
    share = 1.0
    for side, pad in (("height", "pad_top"), ("width", "pad_left")):
        size, kernel, stride = n[f"input_{side}"], n[f"kernel_{side}"], n.get(f"stride_{side}", 1)
        dilation, outputs = n.get(f"dilation_{side}", 1), n[f"output_{side}"]
        if kernel * outputs > MAX_TAPS_COUNTED:
            continue
        at = stride * np.arange(outputs)[:, None] - n[pad] + dilation * np.arange(kernel)
        share *= float(((at >= 0) & (at < size)).mean())
    return share


def _by_rows(call: CallShape, rows: float) -> dict[str, float]:
    """Matrix products straight from widened rows; pointwise layers of whole tensors are one row of all pixels."""
    n, channels = call.numbers, call.numbers["output_channels"]
    depth = ceil(n["input_channels"] / WEIGHT_WORD) * WEIGHT_WORD
    groups: float
    laid_out: float
    if _is_flat(n):
        pixels = rows * n["output_width"]
        full, rest = divmod(ceil(pixels), n["row_pixels"])
        portions = full + (rest > 0)
        groups = full * _groups(n["row_pixels"], n["max_tails"]) + _groups(rest, n["max_tails"])
        laid_out = pixels * depth
    else:
        at_once = min(n["rows_at_once"], max(rows, 1))
        portions = ceil(rows / at_once)
        groups = rows * ceil(n["output_width"] / PIXELS)
        read_rows = portions * ((at_once - 1) * n["stride_height"] + n["kernel_height"])
        laid_out = read_rows * n["row_pixels"] * depth
    pairs = ceil(channels / 2)
    return {
        "macs": groups * PIXELS * 2.0 * pairs * n["kernel_height"] * n["row_steps"] * WEIGHT_WORD,
        "laid_out": float(laid_out),
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * pairs),
        "runs": float(groups * pairs * n["kernel_height"]),
    }


def _groups(pixels: int, most_alone: int) -> float:
    """Groups of four pixels; up to so many that are left over are made alone, in less than half the time of a group."""
    whole, left = divmod(pixels, PIXELS)
    return whole + (ALONE * left if left <= most_alone else 1.0)


def _by_side_by_side(call: CallShape, rows: float) -> dict[str, float]:
    """Pointwise layers by four pixels side by side, in portions of a row or of some rows; all pixels may be one row."""
    rows = 1.0 if call.numbers["flat"] else rows
    n, pairs = call.numbers, ceil(call.numbers["output_channels"] / 2)
    depth = ceil(n["input_channels"] / WEIGHT_WORD) * WEIGHT_WORD
    full, rest = divmod(n["output_width"], n["pixels_at_once"])
    portions = ceil(rows / min(n["rows_at_once"], max(rows, 1))) * (full + (rest > 0))
    laid_out = rows * (full * ceil(n["pixels_at_once"] / PIXELS) + ceil(rest / PIXELS))
    alone = 2 if call.kernel.endswith(SINGLES) else 0
    groups = rows * (full * _groups(n["pixels_at_once"], alone) + _groups(rest, alone))
    return {
        "macs": groups * PIXELS * 2.0 * pairs * depth,
        "laid_out": laid_out * PIXELS * depth,
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * pairs),
        "runs": groups * pairs,
    }


def _is_flat(n: Mapping[str, int]) -> bool:
    """Whether all pixels are one row: its portions are no whole rows then, or as long as these and so the same."""
    return n["kernel_height"] == n["kernel_width"] == 1 and n["row_pixels"] != n["pad_left"] + n["input_width"]


def _by_columns(call: CallShape, rows: float) -> dict[str, float]:
    """Matrix products of windows; of one or two that are left over each takes half the time of a group of four."""
    n = call.numbers
    pixels = ceil(rows * n["output_width"])
    full, rest = divmod(pixels, n["columns"])
    portions = full + (rest > 0)

    made = full * _groups(n["columns"], 2) + _groups(rest, 2)
    pairs = ceil(n["output_channels"] / 2)
    return {
        "macs": made * PIXELS * 2.0 * pairs * n["depth"],
        "laid_out": float(pixels * n["depth"]),
        "weights": float(portions * call.table_bytes),
        "rows": float(pixels * n["kernel_height"]),
        "portions": float(portions),
        "starts": float(portions * pairs),
        "runs": made * pairs,
    }


def _by_window_pixels(call: CallShape, rows: float) -> dict[str, float]:
    """Windows of a small image as pixels, whose channels are all that a window holds."""
    n, pairs = call.numbers, ceil(call.numbers["output_channels"] / 2)
    pixels = ceil(rows * n["output_width"])
    full, rest = divmod(pixels, n["windows"])
    groups = full * ceil(n["windows"] / PIXELS) + ceil(rest / PIXELS)
    portions = full + (rest > 0)
    return {
        "macs": groups * PIXELS * 2.0 * pairs * n["depth"],
        "laid_out": float(pixels * n["depth"]),
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * pairs),
        "runs": float(groups * pairs),
    }


def _by_planes(call: CallShape, rows: float) -> dict[str, float]:
    """Depthwise convolutions along planes of four channels; an image one pixel wide is one row."""
    n, channels = call.numbers, call.numbers["channels"]
    whole_rows = min(rows, n["output_height"])
    at_once = min(n["rows_at_once"], max(whole_rows, 1))
    portions = ceil(whole_rows / at_once)
    read_rows = portions * ((at_once - 1) * n["stride_height"] + n["kernel_height"])
    height, width = n["packed_height"], n["packed_width"]
    taps = height * width
    outputs = whole_rows * channels * n["output_width"]
    blocks = whole_rows * channels * ceil(n["output_width"] / PIXELS)
    compact = n["tap_row_bytes"] > 0
    pairs = max(width - 1, 1)  # words of two weights that each row of the kernel has
    data = ((outputs - blocks) * n["stride_width"] + blocks * (width + 1)) / 2
    streamed = blocks * pairs * (pairs * height > PLANE_REGISTERS)
    return {
        "products": outputs * height * (width + 1) / 2,
        "loads": height * (data + streamed),
        "ties": float(outputs * n["rounds_ties"]),
        "scattered": float(outputs * compact),
        "taps": float(portions * channels * taps * compact),
        "laid_rows": float(read_rows * ceil(channels / PIXELS)),
        "outputs": float(outputs),
        "macs": float(outputs * taps),
        "laid_out": float(read_rows * 2 * n["row_words"] * channels),
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * channels),
        "runs": float(whole_rows * channels * ceil(n["output_width"] / PIXELS) * max(n["packed_height"] / 3, 1)),
        "rows": float(whole_rows * channels),
    }


def _by_direct_rows(call: CallShape, rows: float) -> dict[str, float]:
    """Depthwise convolutions straight from rows: a channel of some rows at a time; those at borders are begun anew."""
    n = call.numbers
    channels, portions = n["channels"], float(ceil(rows / n["rows_at_once"]))
    if rows > 1:
        below = (n["output_height"] - 1) * n["stride_height"] - n["pad_top"] + n["kernel_height"] > n["input_height"]
        portions += min(rows / n["output_height"], 1.0) * ((n["pad_top"] > 0) + below)
    outputs = rows * channels * n["output_width"]
    return {
        "outputs": float(outputs),
        "loads": float(rows * channels * n["kernel_height"] * n["input_width"]),
        "weights": portions * call.table_bytes,
        "portions": portions,
        "starts": portions * channels,
        "runs": float(rows * channels),
        "ties": float(outputs * (n["total_shift"] < 0)),
    }


def _by_tiles(call: CallShape, rows: float) -> dict[str, float]:
    """Winograd's F(4x4, 3x3): 36 products where 144 would be; some rows of tiles at once, in groups of four tiles."""
    n, pairs = call.numbers, ceil(call.numbers["output_channels"] / 2)
    tile_rows = ceil(rows / 4)
    portions = ceil(tile_rows / n["tile_rows"])
    tiles = portions * n["tiles"]
    return {
        "macs": float(tiles * 36 * n["input_channels"] * 2 * pairs),
        "laid_out": float(tiles * 36 * n["input_channels"]),
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * pairs),
        "runs": float(tiles * 36 * pairs / 4),
    }


def _by_pixels(call: CallShape, rows: float) -> dict[str, float]:
    """Depthwise convolutions straight from pixels, by way of a table of places."""
    n, channels = call.numbers, ceil(call.numbers["channels"] / 4) * 4
    portions = rows * ceil(n["output_width"] / n["pixels_at_once"])
    pixels = rows * n["output_width"]
    return {
        "outputs": float(pixels * channels),
        "macs": float(pixels * channels * 3 * n["groups"]),
        "laid_out": float(pixels * n["kernel_height"] * n["kernel_width"]),
        "weights": float(portions * call.table_bytes),
        "portions": float(portions),
        "starts": float(portions * channels // 4),
    }


def _by_matrices(n: Mapping[str, int], plain: Work) -> dict[str, float]:
    """Products of computed matrices: columns are laid out once, rows once for each portion of the columns."""
    batches = plain["outputs"] / (n["rows"] * n["columns"])
    portions = ceil(n["columns"] / n["columns_at_once"])
    return {
        "laid_out": batches * n["depth"] * (n["columns"] + portions * n["rows"]),
        "portions": batches * portions,
        "starts": batches * n["rows"] * ceil(n["columns"] / PIXELS),
    }


_IMAGE = frozenset({"kernel_height", "output_width", "output_height"})
_CHANNELS = frozenset({"input_channels", "output_channels", "input_width", "pad_left"})
_PLANES = frozenset({"rows_at_once", "channels", "row_words", "packed_height", "packed_width", "stride_height"})
_PORTIONED: tuple[tuple[frozenset[str], Callable[[CallShape, float], dict[str, float]]], ...] = (
    (_IMAGE | _PLANES, _by_planes),
    (_IMAGE | {"rows_at_once", "channels", "channel_words", "input_width"}, _by_direct_rows),
    (frozenset({"windows", "depth", "output_channels", "output_width"}), _by_window_pixels),
    (frozenset({"tiles", "tile_rows", "input_channels", "output_channels"}), _by_tiles),
    (_IMAGE | {"pixels_at_once", "channels", "groups", "kernel_width"}, _by_pixels),
    (_IMAGE | _CHANNELS | {"row_pixels", "rows_at_once", "stride_height", "kernel_width"}, _by_rows),
    (frozenset({"pixels_at_once", "rows_at_once", "skipped_steps", "output_width"}), _by_side_by_side),
    (frozenset({"columns", "depth", "output_channels", "output_width", "kernel_height"}), _by_columns),
)
"""Which parameters tell that a kernel works in which portions."""
