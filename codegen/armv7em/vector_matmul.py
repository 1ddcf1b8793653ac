"""FULLY_CONNECTED on Armv7E-M: one row of inputs by packed weights, a few output channels at a time.

There is no second pixel to share weights with, so that every weight is read from flash once and flash sets the pace.
The row is widened once for all channels; where scratch is short, and by compact kernels, in registers for each block of
channels: 2 cycles more for four values. Words of weights and sums are those of sums.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.conv_layer import fuse_sums
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.narrow_vector import (
    add_fields,
    field_words,
    fuse_fields,
    load_mask,
    most_steps,
    narrow_block,
)
from thimble.codegen.armv7em.packing import weight_words
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.sums_to_bytes import scale_sum
from thimble.codegen.armv7em.vector_form import VectorForm
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.kernel_tools.words import int32_words
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, GeneratedKernel, Input, KernelCall, Output, Scratch, Table

MAX_UNROLL = 4
MAX_TURN_BYTES = 255
"""Of the weights of a turn: LDR moves its base on by no more."""

MAX_DEPTH = 1 << 14
"""Longest row taken: it takes 32 KiB of scratch, widened."""

_JOB = ("row", "weights", "row_end", "output", "channels", "constants", "ceiling", "offset")
SHARED = ("multiplier", "addend", "shift")
_NAMES = (*_JOB, "channel", *SHARED)


def specialise_fully_connected(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """Packed weights in place of thimble_fully_connected_s8, or of one for fewer bits; None where the preconditions do
    not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    if layer is None or sizes["weights_zero_point"] != 0 or len(layer.weights) < 2 or sizes["depth"] > MAX_DEPTH:
        return None
    bits = site.input(1).type.dtype.bits
    found = fuse_sums(layer) if bits == 8 else fuse_fields(layer, bits)
    if found is None:
        return None
    arithmetic, constants = found
    step = 32 // bits
    depth = -(-sizes["depth"] // step) * step
    find_block = channels_at_once if bits == 8 else narrow_block
    block = core.variant.at_once or find_block(len(layer.weights))
    most = core.variant.unroll or (MAX_UNROLL if bits == 8 else min(MAX_UNROLL, most_steps(arithmetic, bits)))
    most = min(most, MAX_TURN_BYTES // (4 * block))
    unroll = next(n for n in range(most, 0, -1) if depth // step % n == 0)
    shares = shares_constants(constants)
    direct = depth == sizes["depth"] and bits == 8 and (core.compact or 2 * depth > limit_bytes)
    form = VectorForm(arithmetic, block, unroll, shares, bits, direct)
    params = (
        ("rows", sizes["rows"]),
        ("depth", sizes["depth"]),
        ("channels", len(layer.weights)),
        ("input_zero_point", layer.input_zero_point),
        ("output_min", layer.output_min),
        ("output_max", layer.output_max),
        ("folded", int(arithmetic.folded)),
        ("scale_bits", arithmetic.scale_bits),
        ("rounds_ties", int(arithmetic.rounds_ties)),
        ("block", form.block),
        ("shares_constants", int(shares)),
        ("weight_bits", bits),
        ("direct", int(direct)),
    )
    table = Table("packed", vector_words(layer, form, constants, depth))
    scratch = () if direct else (Scratch(2 * depth, "uint32_t"),)
    arguments = (Input(0), table, *scratch, Output())
    return KernelCall(f"fully_connected_dsp_{form.name}", params, arguments, vector_source(form, core.has_fpu))


def shares_constants(constants: Requantization) -> bool:
    """Whether all channels have one multiplier, addend and shift."""
    columns = (constants.multipliers, constants.addends, constants.shifts)
    return all((column == column[0]).all() for column in columns)


def fully_connected_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a fully connected layer that may be faster than the default one."""
    blocks = [block for block in (2, 4, 6, 8) if block <= sizes["output_channels"]]
    return tuple(Variant("", block, unroll) for block in blocks for unroll in (1, 2, 3, 4, 6, 8))


def channels_at_once(channels: int) -> int:
    """Channels at a time: many where they divide the layer, or where the overlap of the last block is small."""
    if channels % 8 == 0 or channels >= 32:
        return 8
    return 4 if channels % 4 == 0 else 2


def vector_words(layer: PlainLayer, form: VectorForm, constants: Requantization, depth: int) -> Array:
    """int32: constants (3) that all channels share; a block: biases (block), words (depth / step, block), constants."""
    channels, taps = layer.weights.shape
    weights = np.zeros((channels, depth), np.int64)
    weights[:, :taps] = layer.weights
    if form.is_narrow:
        start, words = layer.start << form.arithmetic.scale_bits, field_words(weights, form)
    else:
        start, words = weight_words(weights, layer.start, form.arithmetic.folded)
    firsts = np.minimum(np.arange(0, channels, form.block), channels - form.block)
    order = firsts[:, None] + np.arange(form.block)
    tail = np.stack([constants.multipliers, constants.addends, constants.shifts], axis=1)
    parts = [start[order], words[order].transpose(0, 2, 1)]
    parts += [] if form.shares_constants else [tail[order]]
    packed = np.concatenate([part.reshape(len(order), -1) for part in parts], axis=1).reshape(-1)
    shared = tail[0] if form.shares_constants else np.zeros(0, np.int64)
    return int32_words(np.concatenate([shared, packed]))


def vector_listing(form: VectorForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_vector_job."""
    a, frame = Listing(f"thimble_vector_dsp_{form.name}"), Frame(_NAMES, _NAMES, has_fpu)
    frame.begin(a, _JOB)
    if not form.is_narrow:
        a.op("subs", "r1", "#4", note="loads are 4 bytes ahead of their base")
        a.op("subs", "r3", "#4")
        frame.store(a, "r1", "row")
        frame.store(a, "r3", "row_end")
    start_channels(a, frame, form)
    a.label("block", f"{form.block} channels")
    frame.load(a, "r0", "row")
    a.op("ldm", "r1!", registers(form.sums), note="biases")
    if form.is_narrow:
        load_mask(a, form)
    else:
        a.op("subs", "r1", "#4")
    a.op(".balign", 4)
    a.label("turn", f"{form.unroll * form.step * form.block} products")
    for step in range(form.unroll):
        if form.is_narrow:
            add_fields(a, form, step)
        else:
            add_step(a, form, step)
    frame.load(a, "r2", "row_end")
    if form.is_narrow:
        a.op("adds", "r1", f"#{4 * form.block * form.unroll}")
    a.op("cmp", "r0", "r2")
    a.branch("bne", "turn")
    if not form.is_narrow:
        a.op("adds", "r1", "#4")
    requantize_channels(a, frame, form)
    next_channels(a, frame, form)
    return a


def start_channels(a: Listing, frame: Frame, form: VectorForm) -> None:
    """What comes before the first block: r2 the weights, r6 the constants that all channels share; r1 is the weights'
    from here on."""
    if form.shares_constants:
        a.op("ldm", "r6", "{r4, r5, r6}", note="multiplier, addend, shift")
        for register, name in zip(("r4", "r5", "r6"), SHARED, strict=True):
            frame.store(a, register, name)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    a.op("mov", "r1", "r2")


def add_step(a: Listing, form: VectorForm, step: int) -> None:
    """Four products for each channel: r2, r3 the row, r12, lr weights of two channels.

    r0 and r1 are 4 bytes low, so that the last loads of a turn can move them on.
    """
    ends = step == form.unroll - 1
    _load_row(a, form, step, ends)
    for first in range(0, form.block, 2):
        totals = form.sums[first : first + 2]
        at = 4 * (form.block * step + first) + 4
        moves = "!" * (ends and first == form.block - 2)
        a.op("ldr", "r12", f"[r1, #{at}]")
        if form.arithmetic.folded:
            a.op("ldr", "lr", f"[r1, #{at + 4}]{moves}")
            for total, weights in zip(totals, ("r12", "lr"), strict=True):
                a.op("smlad", total, weights, "r2", total)
                a.op("sxtb16", weights, weights)
                a.op("smlad", total, weights, "r3", total)
        else:
            for i, total in enumerate(totals):
                if i:
                    a.op("ldr", "r12", f"[r1, #{at + 4}]{moves}")
                a.op("sxtb16", "lr", "r12")
                a.op("sxtb16", "r12", "r12", "ror #8")
                a.op("smlad", total, "lr", "r2", total)
                a.op("smlad", total, "r12", "r3", total)


def _load_row(a: Listing, form: VectorForm, step: int, ends: bool) -> None:
    """Both words of four values of the row to r2 and r3; r0 moves on behind them where a turn `ends`."""
    if not form.direct:
        a.op("ldr.w" if ends else "ldr", "r2", f"[r0, #{8 * step + 4}]")
        a.op("ldr", "r3", f"[r0, #{8 * step + 8}]" + "!" * ends)
        return
    a.op("ldr.w", "r3", f"[r0, #{4 * step + 4}]" + "!" * ends)
    if form.arithmetic.folded:
        a.op("sxtb16", "r2", "r3", "ror #8")
        a.op("rev16.w", "r3", "r3")
        a.op("eor.w", "r3", "r3", "#0x007F007F", note="127 - x1 is 0x7F ^ x1 as a byte without sign")
    else:
        a.op("sxtb16", "r2", "r3")
        a.op("sxtb16", "r3", "r3", "ror #8")


def requantize_channels(a: Listing, frame: Frame, form: VectorForm) -> None:
    """All sums to int8 and to the output; r0, r2, r3, r12 and lr are free."""
    how = form.arithmetic
    if form.shares_constants:
        for register, name in zip(("r2", "r3", "r12"), SHARED, strict=True):
            frame.load(a, register, name)
    for total in form.sums:
        if not form.shares_constants:
            a.op("ldm", "r1!", "{r2, r3, r12}", note="multiplier, addend, shift")
        if not how.folded and not form.is_narrow:
            a.op("lsl", total, total, f"#{how.scale_bits}")
        scale_sum(a, total, "r2", "r3", how.scale_bits, rounds_ties=how.rounds_ties, spare="lr")
        a.op("asr", total, total, "r12")
        a.op("usat" if how.clamps else "ssat", total, "#8", total)
    if how.clamps:
        frame.load(a, "r2", "ceiling")
        frame.load(a, "r3", "offset")
        for total in form.sums:
            a.op("uqadd8", total, total, "r2", note="saturates at the upper limit")
            a.op("uadd8", total, total, "r3")
    frame.load(a, "r0", "output")
    frame.load(a, "r2", "channel")
    a.op("add", "r0", "r0", "r2")
    for i, total in enumerate(form.sums):
        a.op("strb", total, f"[r0, #{i}]")


def next_channels(a: Listing, frame: Frame, form: VectorForm) -> None:
    """The next channels; r2 is the last block's first. The last block of all may overlap the one before."""
    frame.load(a, "r3", "channels")
    a.op("sub", "r0", "r3", f"#{form.block}", note="where the last block begins")
    a.op("cmp", "r2", "r0")
    a.op("add", "r2", "r2", f"#{form.block}")
    a.branch("beq", "end")
    a.op("cmp", "r2", "r0")
    a.op("it", "gt")
    a.op("movgt", "r2", "r0")
    frame.store(a, "r2", "channel")
    a.branch("b", "block")
    a.label("end")
    a.op("add", "sp", "sp", f"#{frame.bytes}")
    a.op("pop", registers(["r4-r11", "pc"]))


@lru_cache(maxsize=256)
def vector_source(form: VectorForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel fully_connected_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_fully_connected_dsp_{form.name}"
    files = kernel_files(name, "fully_connected_dsp", form=form, assembly=vector_listing(form, has_fpu).text)
    return GeneratedKernel(files, needs=("vector_dsp",))
