"""What depthwise kernels have to do: along planes, straight from rows or pixels, by a table of places."""

from __future__ import annotations

from math import ceil

from thimble.compiler.plan.call_shape import BAND_ROWS, FILLED, CallShape, Work
from thimble.compiler.plan.matrix_work import PIXELS

PLACES = ("depthwise_conv_2d_scalar", "depthwise_conv_2d_late_scalar")
"""How the names of depthwise kernels begin that go by a table of places."""

PLANE_REGISTERS = 6
"""Words of weights that kernels along planes keep in registers; more of them are loaded for each block."""


def by_planes(call: CallShape, rows: float) -> dict[str, float]:
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


def by_direct_rows(call: CallShape, rows: float) -> dict[str, float]:
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


def by_filled_planes(call: CallShape) -> dict[str, float]:
    """The same from planes that a convolution before it laid out: of some groups of channels of the whole image, or of
    all channels in bands of rows. What two bands share moves: that is laid out again."""
    n, channels = call.numbers, call.numbers["channels"]
    bands = ceil(n["input_height"] / n[BAND_ROWS])
    moved_rows = (bands - 1) * max(n["kernel_height"] - n["stride_height"], 0)
    filled = {
        "laid_rows": float(moved_rows * ceil(channels / PIXELS)),
        "laid_out": float(moved_rows * 2 * n["row_words"] * channels),
        "inputs": 0.0,
        "weights": float(bands * call.table_bytes),
        "portions": float(bands * ceil(channels / (PIXELS * n[FILLED]))),
        "starts": float(bands * channels),
    }
    return by_planes(call, n["output_height"]) | filled


def by_steps(call: CallShape, rows: float) -> dict[str, float]:
    """Depthwise convolutions over steps in time: all channels of an output, whose weights are read for each."""
    n = call.numbers
    quads = rows * ceil(n["channels"] / PIXELS)
    return {
        "outputs": float(rows * n["channels"]),
        "products": float(quads * ceil(n["kernel_height"] / 2)),
        "weights": float(rows * call.table_bytes),
        "portions": float(rows),
        "ties": float(rows * n["channels"] * n["rounds_ties"]),
    }


def by_pixels(call: CallShape, rows: float) -> dict[str, float]:
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


def by_places(call: CallShape, plain: Work) -> dict[str, float]:
    """Depthwise convolutions by a table of where the input under each tap lies, made for each pixel."""
    pixels = plain["outputs"] / call.numbers["channels"]
    return {"laid_out": plain["macs"] / call.numbers["channels"], "weights": float(call.table_bytes), "starts": pixels}
