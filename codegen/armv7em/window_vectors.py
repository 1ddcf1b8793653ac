"""CONV_2D on Armv7E-M without scratch: each window by packed weights, a few output channels at a time.

A window is read where it lies, as runs of neighbouring bytes, and widened in registers for each block of channels; rows
and columns outside of the input are runs over a constant border. So a pixel is the row of a fully connected layer
(vector_matmul.py), its weights are read from flash for each pixel, and the output may lie over the input wherever that
of the plain kernel may.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.conv_layer import ConvLayer, fuse_sums
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.vector_form import VectorForm
from thimble.codegen.armv7em.vector_matmul import (
    MAX_DEPTH,
    MAX_TURN_BYTES,
    MAX_UNROLL,
    SHARED,
    add_step,
    channels_at_once,
    next_channels,
    requantize_channels,
    shares_constants,
    start_channels,
    vector_words,
)
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.sizes import window_kernel_params
from thimble.codegen.kernel_tools.words import words_of_byte
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall, Scratch, Table

MAX_KERNEL_HEIGHT = 5
"""Highest window taken: each of its rows is up to three runs, THIMBLE_MAX_RUNS in the runtime."""

LEAST_PRODUCTS = 1 << 15
"""Of a layer, from which compact kernels are worth 1.5 KB of code: it saves 2 cycles for each of them."""

COMPACT_UNROLL = 2
"""Steps in a turn of the inner loop where layers are to share functions."""

_JOB = ("runs", "weights", "runs_end", "output", "channels", "constants", "ceiling", "offset")
_NAMES = (*_JOB, "channel", "run", "run_end", *SHARED)


def by_window_vectors(given: ConvLayer, waiting: tuple[Scratch, ...] = ()) -> KernelCall | None:
    """A window at a time, without scratch but for pixels that are written late; None where its runs are not whole
    words, or too many."""
    layer, sizes = given.layer, given.sizes
    channels, depth = layer.weights.shape
    dense = sizes["dilation_height"] == sizes["dilation_width"] == 1
    in_words = sizes["input_channels"] % 4 == 0 and depth <= MAX_DEPTH
    found = fuse_sums(layer)
    if given.core.compact and given.pixels * channels * depth < LEAST_PRODUCTS:
        return None
    if not dense or not in_words or sizes["kernel_height"] > MAX_KERNEL_HEIGHT or found is None:
        return None
    arithmetic, constants = found
    block = channels_at_once(channels)
    most = COMPACT_UNROLL if given.core.compact else min(MAX_UNROLL, MAX_TURN_BYTES // (4 * block))
    unroll = next(n for n in range(most, 0, -1) if sizes["input_channels"] // 4 % n == 0)
    form = VectorForm(arithmetic, block, unroll, shares_constants(constants), direct=True)
    words = vector_words(layer, form, constants, depth)
    border = _border(given)
    dropped = ("group_channels", "dilation_height", "dilation_width", "input_zero_point", "output_zero_point")
    params = (
        *window_kernel_params(sizes, dropped),
        ("depth", depth),
        ("border_at", len(words)),
        ("folded", int(arithmetic.folded)),
        ("scale_bits", arithmetic.scale_bits),
        ("rounds_ties", int(arithmetic.rounds_ties)),
        ("block", block),
        ("shares_constants", int(form.shares_constants)),
    )
    arguments = row_arguments(Table("packed", np.concatenate([words, border])), *waiting)
    source = _source(form, given.core.has_fpu, bool(waiting))
    return KernelCall(f"conv_2d_{_stem(bool(waiting))}_{form.name}", params, arguments, source)


def _border(given: ConvLayer) -> Array:
    """int32: the zero point for each byte of one row of a window; nothing where all windows lie inside of the input."""
    sizes = given.sizes
    inside = all(
        not sizes[f"pad_{before}"]
        and (sizes[f"output_{side}"] - 1) * sizes[f"stride_{side}"] + sizes[f"kernel_{side}"] <= sizes[f"input_{side}"]
        for before, side in (("top", "height"), ("left", "width"))
    )
    row_words = sizes["kernel_width"] * sizes["input_channels"] // 4
    return words_of_byte(given.layer.input_zero_point, 0 if inside else row_words)


def window_vectors_listing(form: VectorForm, has_fpu: bool, is_late: bool) -> Listing:
    """The function of a form, to be called with a thimble_window_vectors_job."""
    a, frame = Listing(f"thimble_window_{_stem(is_late)}_{form.name}"), Frame(_NAMES, _NAMES, has_fpu)
    frame.begin(a, _JOB)
    start_channels(a, frame, form)
    a.label("block", f"{form.block} channels")
    frame.load(a, "r12", "runs")
    a.op("ldm", "r1!", registers(form.sums), note="biases")
    a.op("subs", "r1", "#4", note="loads are 4 bytes ahead of their base")
    a.label("run")
    a.op("ldm", "r12!", "{r0, r3}", note="first byte, end")
    frame.store(a, "r12", "run")
    a.op("subs", "r0", "#4")
    a.op("subs", "r3", "#4")
    frame.store(a, "r3", "run_end")
    a.op(".balign", 4)
    a.label("turn", f"{form.unroll * form.step * form.block} products")
    for step in range(form.unroll):
        add_step(a, form, step)
    frame.load(a, "r2", "run_end")
    a.op("cmp", "r0", "r2")
    a.branch("bne", "turn")
    frame.load(a, "r12", "run")
    frame.load(a, "r2", "runs_end")
    a.op("cmp", "r12", "r2")
    a.branch("bne", "run")
    a.op("adds", "r1", "#4")
    requantize_channels(a, frame, form)
    next_channels(a, frame, form)
    return a


@lru_cache(maxsize=256)
def _source(form: VectorForm, has_fpu: bool, is_late: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_vectors_dsp_<form>, or of the one that writes late: the assembly, and the kernel that
    uses it or its twin."""
    name = f"thimble_conv_2d_{_stem(is_late)}_{form.name}"
    assembly = window_vectors_listing(form, has_fpu, is_late).text
    files = kernel_files(name, "conv_2d_vectors_dsp", form=form, assembly=assembly, stem=_stem(is_late), late=is_late)
    return GeneratedKernel(files, needs=("window_vectors_dsp", *(("window_late_vectors_dsp",) if is_late else ())))


def _stem(is_late: bool) -> str:
    return "late_vectors_dsp" if is_late else "vectors_dsp"
