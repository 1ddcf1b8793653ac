"""FULLY_CONNECTED with weights of 4 or 2 bits: eight or sixteen of a channel are a word, which is read from flash once.

One AND with a shifted word makes the operand of an SMLAD: lanes whose upper bits are two weights, so that sums are
scaled by 2**(16 - bits). Four values of a row are two operands: 8 weights of 4 bits take an LDR, 4 AND and 4 SMLAD.
Where sums could leave 32 bits so, fields in the upper bits of bytes are widened by SXTB16: one instruction more for two
operands, and sums scaled by 2**(8 - bits). Four channels at a time share the row's words, which wait in registers.
"""

from __future__ import annotations

import numpy as np

from thimble.codegen.armv7em.assembly import Listing, registers
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.armv7em.vector_form import VectorForm
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization, plain_requantization
from thimble.compiler.ir.operator import Array

BLOCK = 4
"""Channels whose sums fit the registers beside four words of the row."""

_WIDE_BLOCK_FROM = 12
"""Channels from which the overlap of the last block is small."""

MAX_TURN_BYTES = 640
"""Code of a turn of the inner loop that leaves room in an instruction cache of 1 KB."""

_ROW = ("r8", "r9", "r10", "r11")


def narrow_block(channels: int) -> int:
    """Channels at a time."""
    return BLOCK if channels % BLOCK == 0 or channels >= _WIDE_BLOCK_FROM else 2


def most_steps(arithmetic: Arithmetic, bits: int) -> int:
    """Steps of a turn that the instruction cache holds."""
    operands = 16 // bits
    extracted = 8 * operands if arithmetic.scale_bits == 16 - bits else 10 * operands
    return max(MAX_TURN_BYTES // (operands + BLOCK * (operands + extracted)), 1)


def fuse_fields(layer: PlainLayer, bits: int) -> tuple[Arithmetic, Requantization] | None:
    """How sums of weights of so many bits are made, by lanes or else by bytes; None where nothing can be proved."""
    plain = plain_requantization(layer)
    for scale_bits in (16 - bits, 8 - bits):
        constants = plain.with_bits(scale_bits)
        if constants is not None:
            return Arithmetic(False, scale_bits, layer.rounds_ties, layer.limits_inside), constants
    return None


def _by_lanes(form: VectorForm) -> bool:
    return form.arithmetic.scale_bits == 16 - form.weight_bits


def field_words(weights: Array, form: VectorForm) -> Array:
    """(channels, depth / step) words of fields, not negative, of weights (channels, depth), whole steps deep."""
    bits, step = form.weight_bits, form.step
    fields = weights.reshape(len(weights), -1, step) & ((1 << bits) - 1)
    words = np.zeros(fields.shape[:2], np.int64)
    for operand in range(step // 2):
        first = 4 * (operand // 2) + operand % 2  # operands are values 0 and 2, 1 and 3 of four
        for value, place in zip((first, first + 2), _places(form, operand), strict=True):
            words |= fields[:, :, value] << bits * place
    return words


def _places(form: VectorForm, operand: int) -> tuple[int, int]:
    """Where the two weights of an operand stand in a word, in fields."""
    if _by_lanes(form):
        return form.step // 2 - 1 - operand, form.step - 1 - operand
    per_byte = 8 // form.weight_bits
    lowest = per_byte - 1 - operand // 2 + per_byte * (operand % 2)
    return lowest, lowest + 2 * per_byte


def load_mask(a: Listing, form: VectorForm) -> None:
    """r3: the upper fields of lanes, or of bytes."""
    field = 0xFF & ~(0xFF >> form.weight_bits)
    lane = field << 8 if _by_lanes(form) else field * 0x101
    a.op("mov", "r3", f"#0x{lane * 0x10001:08x}")


def add_fields(a: Listing, form: VectorForm, step: int) -> None:
    """A step of all channels of a block: r12 weights, r2 and lr operands of them, r8 to r11 words of the row."""
    operands = range(form.step // 2)
    for first in operands[:: len(_ROW)]:
        a.op("ldm", "r0!", registers(_ROW), note="eight values of the row")
        for channel, total in enumerate(form.sums):
            a.op("ldr", "r12", f"[r1, #{4 * (form.block * step + channel)}]")
            for operand in range(first, first + len(_ROW)):
                weights = _extract(a, form, operand)
                a.op("smlad", total, weights, _ROW[operand - first], total)


def _extract(a: Listing, form: VectorForm, operand: int) -> str:
    """The register that an operand of the word in r12 is made in."""
    fields = operand if _by_lanes(form) else operand // 2
    if _by_lanes(form) or operand % 2 == 0:
        shift = (f"lsl #{fields * form.weight_bits}",) if fields else ()
        a.op("and", "r2", "r3", "r12", *shift)
    if _by_lanes(form):
        return "r2"
    a.op("sxtb16", "lr", "r2", *(("ror #8",) if operand % 2 else ()))
    return "lr"
