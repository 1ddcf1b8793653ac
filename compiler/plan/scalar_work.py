"""What kernels without vectors have to do: blocks of channels, panels of two pixels a word, windows tap by tap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from thimble.compiler.plan.call_shape import CallShape, Work

MAX_TAPS_COUNTED = 1 << 16
"""Along one side of an image; borders of larger ones do not count."""

MAX_UNROLLED_TAPS = 9
"""Depthwise kernels of more have a loop over the taps."""

_PANEL = re.compile(r"conv_2d_panel_scalar_b(\d+)w(\d+)")
_STRAIGHT = re.compile(r"conv_2d_(?:late_)?scalar_(?:add_)?b(\d+)u(\d+)")
_DEPTHWISE = re.compile(r"depthwise_conv_2d_(?:late_)?scalar_(\d+)x(\d+)_b(\d+)")
_POOL = re.compile(r"(average|max)_pool_2d_s8")
_SUMS = re.compile(r"(average_pool_2d|reduce_sum)_accumulate_s8_s(16|32)")
_CONNECTED = re.compile(r"fully_connected_scalar_b(\d+)u(\d+)")


def by_blocks(call: CallShape, plain: Work, rows: float) -> dict[str, float]:
    """What is added to the amounts of kernels that make blocks of channels, whose sizes their names tell."""
    n = call.numbers
    if found := _PANEL.search(call.kernel):
        return _by_panels(n, rows, *map(int, found.groups()))
    if found := _STRAIGHT.search(call.kernel):
        block, unroll = map(int, found.groups())
        runs = rows * n["output_width"] * ceil(n["output_channels"] / block)
        taps = runs * n["kernel_height"] * n["kernel_width"] * inside_share(n) * n["input_channels"]
        return {
            "runs": runs,
            "loads": taps,
            "products": taps * block,
            "lines": taps / unroll,
            "laid_rows": runs * n["kernel_height"],
        }
    if found := _DEPTHWISE.search(call.kernel):
        taps, block = int(found[1]) * int(found[2]), int(found[3])
        runs = plain["outputs"] / block
        return {"runs": runs, "loads": runs * taps, "lines": runs * taps * (taps > MAX_UNROLLED_TAPS)}
    if found := _CONNECTED.search(call.kernel):
        block, unroll = map(int, found.groups())
        runs = float(n["rows"] * ceil(n["channels"] / block))
        loads = runs * n["depth"]
        return {"runs": runs, "loads": loads, "products": loads * block, "lines": loads / unroll}
    if _SUMS.match(call.kernel):
        return {"runs": rows * n["channels"]}
    return {}


def _by_panels(n: Mapping[str, int], rows: float, block: int, words: int) -> dict[str, float]:
    """Windows as words of two pixels; behind the last pixel that one is made again."""
    at_once = 2 * words
    groups = float(ceil(rows * n["output_width"] / at_once))
    blocks = ceil(n["output_channels"] / block)
    taps = n["kernel_height"] * n["kernel_width"] * n["input_channels"]
    apart = _apart_share(n, at_once)
    return {
        "starts": groups,
        "runs": groups * blocks,
        "products": groups * words * blocks * block * n["depth"],
        "made": groups * at_once * n["output_channels"],
        "taps": groups * at_once * taps,
        "laid_rows": groups * words * n["kernel_height"] * (1 + apart * (n["kernel_width"] - 1)),
    }


def _apart_share(n: Mapping[str, int], at_once: int) -> float:
    """The share of pairs of pixels whose windows are copied column by column: any column is outside, or dilated."""
    width, kernel = n["output_width"], n["kernel_width"]
    if n.get("dilation_width", 1) > 1:
        return 1.0
    if width > MAX_TAPS_COUNTED:
        return 0.0
    left = n["stride_width"] * np.arange(width) - n["pad_left"]
    outside = np.tile((left < 0) | (left + kernel > n["input_width"]), at_once)
    return float(outside.reshape(-1, 2).any(axis=1).mean())


def by_windows(call: CallShape, plain: Work) -> dict[str, float]:
    """Kernels that go over each output's window tap by tap, a run over the input channels under each.

    Those of pools go over it row by row.
    """
    n = call.numbers
    taps = plain["outputs"] * n["kernel_height"] * n["kernel_width"] * inside_share(n)
    lines = {}
    if _POOL.match(call.kernel):
        lines = {"lines": plain["outputs"] * n["kernel_height"] * inside_share(n, ("height",))}
    return {"macs": taps * n.get("group_channels", 1), "runs": taps} | lines


def inside_share(n: Mapping[str, int], sides: Sequence[str] = ("height", "width")) -> float:
    """The share of a window's taps that lie inside of the input, over all windows, along these sides."""
    share = 1.0
    for side in sides:
        pad = "pad_top" if side == "height" else "pad_left"
        size, kernel, stride = n[f"input_{side}"], n[f"kernel_{side}"], n.get(f"stride_{side}", 1)
        dilation, outputs = n.get(f"dilation_{side}", 1), n[f"output_{side}"]
        if kernel * outputs > MAX_TAPS_COUNTED:
            continue
        at = stride * np.arange(outputs)[:, None] - n[pad] + dilation * np.arange(kernel)
        share *= float(((at >= 0) & (at < size)).mean())
    return share
