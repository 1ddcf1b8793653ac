"""What kernels that make matrix products in portions have to do: convolutions, and products of computed matrices."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from thimble.compiler.plan.call_shape import CallShape, Work

PIXELS = 4
"""Output pixels that matrix products make at a time."""

WEIGHT_WORD = 4
"""Weights of a word: depths are made multiples of it."""

SINGLES, MAX_ALONE = "_singles", 2
"""How the names of compact pointwise kernels end that make so many pixels alone."""

ALONE = 0.4
"""Of the time of four pixels what one takes that is made alone."""


def by_rows(call: CallShape, rows: float) -> dict[str, float]:
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


def by_filling(call: CallShape) -> dict[str, float]:
    """A convolution of a whole image, pointwise or by windows, that goes to the planes of a depthwise one."""
    n, rows = call.numbers, call.numbers["output_height"]
    outputs = rows * n["output_width"] * n["output_channels"]
    work = by_window_pixels(call, rows) if "windows" in n else by_rows(call, rows)
    return work | {"outputs": float(outputs), "rows": float(rows)}


def _groups(pixels: int, most_alone: int) -> float:
    """Groups of four pixels; up to so many that are left over are made alone, in less than half the time of a group."""
    whole, left = divmod(pixels, PIXELS)
    return whole + (ALONE * left if left <= most_alone else 1.0)


def by_side_by_side(call: CallShape, rows: float) -> dict[str, float]:
    """Pointwise layers by four pixels side by side, in portions of a row or of some rows; all pixels may be one row."""
    rows = 1.0 if call.numbers["flat"] else rows
    n, pairs = call.numbers, ceil(call.numbers["output_channels"] / 2)
    depth = ceil(n["input_channels"] / WEIGHT_WORD) * WEIGHT_WORD
    full, rest = divmod(n["output_width"], n["pixels_at_once"])
    portions = ceil(rows / min(n["rows_at_once"], max(rows, 1))) * (full + (rest > 0))
    laid_out = rows * (full * ceil(n["pixels_at_once"] / PIXELS) + ceil(rest / PIXELS))
    alone = MAX_ALONE if call.kernel.endswith(SINGLES) else 0
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


def by_columns(call: CallShape, rows: float) -> dict[str, float]:
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


def by_window_vectors(call: CallShape, rows: float) -> dict[str, float]:
    """Windows one at a time, read where they lie: widened for each block of channels, with all weights for each."""
    n = call.numbers
    pixels = rows * n["output_width"]
    blocks = pixels * ceil(n["output_channels"] / n["block"])
    return {
        "macs": blocks * n["block"] * n["depth"],
        "laid_out": blocks * n["depth"],
        "weights": pixels * call.table_bytes,
        "portions": pixels,
        "starts": blocks,
        "runs": blocks * n["kernel_height"],
    }


def by_window_pixels(call: CallShape, rows: float) -> dict[str, float]:
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


def by_tiles(call: CallShape, rows: float) -> dict[str, float]:
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


def by_matrices(n: Mapping[str, int], plain: Work) -> dict[str, float]:
    """Products of computed matrices: columns are laid out once, rows once for each portion of the columns."""
    batches = plain["outputs"] / (n["rows"] * n["columns"])
    portions = ceil(n["columns"] / n["columns_at_once"])
    return {
        "laid_out": batches * n["depth"] * (n["columns"] + portions * n["rows"]),
        "portions": batches * portions,
        "starts": batches * n["rows"] * ceil(n["columns"] / PIXELS),
    }
