"""What the kernels for MVE have to do, which work in steps of 16 lanes: windows, rows with their borders, planes.

Their names tell what they were generated for, as their parameters tell the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil

from thimble.compiler.plan.call_shape import CallShape, Work
from thimble.compiler.plan.scalar_work import inside_share

LANES, WORD = 16, 4
PIXELS = 4
"""Windows at a time in copies of rows, and outputs at a time along a plane."""

PAIR, WINDOWS, BLOCK = 2, 2, 4
"""Channels at a time in copies of rows; windows and channels at a time straight from the input."""

SUMS_AT_ONCE = 8
"""Lanes of 16 bits, in which pixels are added up."""

_POOLS = {"average_pool_2d_mve": SUMS_AT_ONCE, "max_pool_2d_mve": LANES}
_SUMS = ("average_pool_2d_accumulate_mve", "reduce_sum_accumulate_mve")
_ROWS = re.compile(r"conv_2d_rows_mve_(\d+)x(\d+)o?e\d+c(\d+)(f?)_([a-z]+)")
_WINDOWS = re.compile(r"conv_2d_mve_\d+x\d+n?(f?)_([a-z]+)")
_PLANES = re.compile(r"depthwise_conv_2d_mve_(\d+)a\d+(m?)\d*(x?)_([a-z]+)")
_MAX_STRAIGHT_STEPS, _LOOP = 12, 3
"""More steps of a window are made in a loop over the rows of the kernel, which costs so many times what a row does."""


def by_vectors(call: CallShape, plain: Work, rows: float) -> dict[str, float] | None:
    """The amounts of a call for `rows` output rows, or input rows where it adds these up; None of other kernels."""
    if call.kernel in _POOLS:
        return _by_pools(call.numbers, plain, _POOLS[call.kernel])
    if call.kernel in _SUMS:
        blocks = rows * ceil(call.numbers["channels"] / SUMS_AT_ONCE)
        return {"runs": blocks, "loads": blocks * call.numbers["input_width"]}
    if call.kernel == "batch_matmul_mve":
        return _by_matrices(call.numbers, plain)
    for form, count in ((_ROWS, _by_padded_rows), (_WINDOWS, _by_windows), (_PLANES, _by_planes)):
        found = form.search(call.kernel)
        if found is not None:
            return count(call, rows, found)
    return None


def _further_steps(arithmetic: str) -> int:
    """Steps of a requantization beyond those of every layer, by the name of its arithmetic."""
    return len(arithmetic.replace("p", ""))


def _by_padded_rows(call: CallShape, rows: float, form: re.Match[str]) -> dict[str, float]:
    """Copies of rows with their borders, four pixels by two channels at a time; a rest of pixels is a group too."""
    n, height, steps, is_flat = call.numbers, int(form[1]), int(form[2]), bool(form[4])
    rows = 1.0 if is_flat else rows
    pairs, depth = ceil(n["output_channels"] / PAIR), n["input_channels"]
    full, rest = divmod(n["output_width"], n["portion"])
    pieces = [(rows * full, n["portion"]), (rows * (rest > 0), rest)]
    groups = sum(count * ceil(width / PIXELS) for count, width in pieces)
    loops = sum(count * ((width >= PIXELS) + (width % PIXELS > 0)) for count, width in pieces)
    copied_rows = sum(count for count, _ in pieces)
    vectors = sum(count * ceil(width * depth / LANES) for count, width in pieces)
    filled = 0.0
    if not is_flat:
        copied_rows = height + max(rows - 1, 0) * min(n["stride_height"], height)
        vectors = copied_rows * ceil(n["input_width"] * depth / LANES)
        filled = height * n["row_bytes"] / LANES
    runs = groups * pairs
    loads = runs * height * _loads(steps, depth, int(form[3]))
    return {
        "macs": runs * height * steps * LANES * PIXELS * PAIR,
        "loads": loads,
        "scattered": loads * (int(form[3]) % WORD > 0),
        "lines": runs * height * (1.0 if height * steps <= _MAX_STRAIGHT_STEPS else _LOOP),
        "laid_out": LANES * (vectors + filled),
        "laid_rows": float(copied_rows),
        "portions": sum(count for count, _ in pieces),
        "starts": loops * pairs,
        "runs": runs,
        "ties": runs * _further_steps(form[5]),
    }


def _loads(steps: int, depth: int, column_bytes: int) -> int:
    """Vectors of the input that a row of the kernel takes: what was loaded for the tap before is taken again."""
    if depth % LANES:
        new = LANES // column_bytes if LANES % column_bytes == 0 else PIXELS
        return PIXELS + (steps - 1) * min(new, PIXELS)
    parts = depth // LANES
    chains = min(column_bytes // depth, steps // parts)  # taps a stride apart
    return steps + parts * chains * (PIXELS - 1)


def _by_windows(call: CallShape, rows: float, form: re.Match[str]) -> dict[str, float]:
    """Two windows by four channels at a time; those at borders are copied, and the last one alone is made twice."""
    n, width, channels = call.numbers, call.numbers["output_width"], call.numbers["output_channels"]
    rows = 1.0 if form[1] else rows
    segments = n["kernel_height"] * n["row_parts"] or 1
    pairs = rows * ceil(width / WINDOWS)
    outside = width - (n["inside_end"] - n["inside_begin"]) + (width % WINDOWS) * (n["inside_end"] < width)
    lines = rows * outside * n["kernel_height"]
    runs = pairs * ceil(channels / BLOCK)
    copies = 1 if channels % BLOCK == 0 else 2
    return {
        "macs": runs * segments * n["segment_bytes"] * WINDOWS * BLOCK,
        "lines": runs * segments,
        "loads": pairs * segments,
        "laid_out": lines * ceil(n["kernel_width"] * n["input_channels"] / LANES) * LANES,
        "laid_rows": lines,
        "scattered": pairs * copies * ceil(channels * WINDOWS / copies / LANES),
        "starts": pairs,
        "runs": runs,
        "ties": runs * _further_steps(form[2]),
    }


def _by_planes(call: CallShape, rows: float, form: re.Match[str]) -> dict[str, float]:
    """Planes of bytes: filled by blocks of 16 channels, four outputs of a channel at a time."""
    n, steps, channels = call.numbers, int(form[1]), call.numbers["channels"]
    rows = float(n["output_height"]) if form[3] else rows
    at_once = n["rows_at_once"]
    full, rest = divmod(ceil(rows), at_once)
    fillings = full + (rest > 0)
    words = ceil(n["columns"] / 4) if n["column_bytes"] == 1 else n["column_bytes"] // 4 * n["columns"]
    whole, last = divmod(channels, n["channels_at_once"])
    portions = [(whole, n["channels_at_once"]), (int(last > 0), last)]
    moved = (full * at_once * (at_once - 1) + rest * (rest - 1)) / 2 if form[2] else 0.0
    runs = rows * channels * ceil(n["output_width"] / PIXELS)
    return {
        "macs": runs * PIXELS * steps * LANES,
        "laid_out": float(fillings * words * LANES * 4 * sum(count * (at // LANES) for count, at in portions)),
        "laid_rows": float(fillings * words * sum(count for count, _ in portions)),
        "rests": float(fillings * words * sum(count * (at % LANES > 0) for count, at in portions)),
        "scattered": float(fillings * words * sum(count * ceil(at % LANES / 4) for count, at in portions)),
        "moved": moved * channels * steps,
        "portions": float(fillings * sum(count for count, _ in portions)),
        "starts": rows * channels,
        "runs": runs,
        "ties": runs * _further_steps(form[4]),
    }


def _by_pools(n: Mapping[str, int], plain: Work, lanes: int) -> dict[str, float]:
    """Windows of pools, so many channels at a time."""
    runs = plain["outputs"] / n["channels"] * ceil(n["channels"] / lanes)
    lines = runs * n["kernel_height"] * inside_share(n, ("height",))
    return {"runs": runs, "lines": lines, "loads": lines * n["kernel_width"] * inside_share(n, ("width",))}


def _by_matrices(n: Mapping[str, int], plain: Work) -> dict[str, float]:
    """Products of computed matrices: one row by four columns, which are laid out in portions first."""
    batches = plain["outputs"] / (n["rows"] * n["columns"])
    steps, depth = ceil(n["depth"] / LANES), n["depth"]
    full, rest = divmod(n["columns"], n["columns_at_once"])
    blocks = full * ceil(n["columns_at_once"] / BLOCK) + ceil(rest / BLOCK)
    rows = batches * (full + (rest > 0)) * n["rows"]
    side_by_side = blocks if n["right_column_stride"] == 1 else 0
    side_by_side -= 1 if side_by_side and n["columns"] % BLOCK else 0
    apart = batches * (n["columns"] - min(side_by_side * BLOCK, n["columns"]))
    one_by_one = apart * depth * (n["right_depth_stride"] > 1) + rows * depth * (n["left_depth_stride"] > 1)
    runs = batches * n["rows"] * blocks
    return {
        "macs": runs * BLOCK * steps * LANES,
        "runs": runs,
        "starts": rows,
        "lines": rows * steps,
        "portions": batches * blocks,
        "laid_out": batches * blocks * BLOCK * steps * LANES,
        "laid_rows": apart * steps,
        "scattered": batches * side_by_side * depth,
        "taps": one_by_one,
    }
