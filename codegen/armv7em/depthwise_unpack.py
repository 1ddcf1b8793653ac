"""Weights of a depthwise convolution from bytes or closer to words of two, scaled, as each channel begins."""

from __future__ import annotations

import itertools

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.depthwise_form import RESIDENT, SUMS, DepthwiseForm


def unpack_channel(a: Listing, frame: Frame, form: DepthwiseForm) -> None:
    """Words of two scaled weights from the bytes at r1, and the constants that follow from a byte; r1 is behind."""
    if form.no_addend:
        a.op("mov", "r2", f"#{1 << form.scale_bits}", note="the scale")
    else:
        _make_constants(a, frame, form)
    if form.in_words and form.is_narrow:
        _unpack_fields(a, form)
    elif form.in_words:
        _unpack_words(a, form)
    else:
        _unpack_bytes(a, frame, form)


def _make_constants(a: Listing, frame: Frame, form: DepthwiseForm) -> None:
    """The addend, and the last shift where each channel has its own; r2 is the scale."""
    a.op("ldrb", "r3", f"[r1, #{form.special_at}]", note="scale bits, or the last shift less 1")
    frame.load(a, "r12", "common_addend")
    if form.total_shift is not None:
        a.op("mov", "r2", "#1")
        a.op("lsl", "r2", "r2", "r3", note="the scale")
        a.op("add", "r12", "r12", "r2", "lsr #2")
    else:
        a.op("lsl", "r12", "r12", "r3")
        a.op("adds", "r3", "#1")
        frame.store(a, "r3", "shift")
        a.op("add", "r12", "r12", f"#{1 << (form.scale_bits - 2)}")
        a.op("mov", "r2", f"#{1 << form.scale_bits}", note="the scale")
    frame.store(a, "r12", "addend")


def _unpack_words(a: Listing, form: DepthwiseForm) -> None:
    """Kernel rows of a word each into the registers of weights; r2 is the scale."""
    packed = SUMS[: form.kernel_height]
    a.op("ldm", "r1!", registers(packed))
    for row, register in enumerate(packed):
        first, second = RESIDENT[2 * row : 2 * row + 2]
        a.op("sxtb16", first, register)
        a.op("sxtb16", second, register, "ror #8")
        a.op("smulbb", "r3", first, "r2")
        a.op("smultb", register, first, "r2")
        a.op("smulbb", second, second, "r2")
        a.op("pkhbt", first, "r3", second, "lsl #16", note="taps 0 and 1")
        a.op("pkhbt", second, second, register, "lsl #16", note="taps 1 and 2")


def _unpack_fields(a: Listing, form: DepthwiseForm) -> None:
    """Kernel rows of three taps below 8 bits into the registers of weights; r2 is the scale."""
    load = "ldrh" if form.tap_row_bytes == 2 else "ldrb"
    for row in range(form.kernel_height):
        first, second = RESIDENT[2 * row : 2 * row + 2]
        a.op(load, "r3", f"[r1, #{row * form.tap_row_bytes}]", note="three taps")
        for tap, register in ((0, first), (2, second), (1, "r3")):
            a.op("sbfx", register, "r3", f"#{tap * form.weight_bits}", f"#{form.weight_bits}")
        for register in (first, second, "r3"):
            a.op("mul", register, register, "r2")
        a.op("pkhbt", first, first, "r3", "lsl #16", note="taps 0 and 1")
        a.op("pkhbt", second, "r3", second, "lsl #16", note="taps 1 and 2")
    a.op("add", "r1", "r1", f"#{4 * form.constants_at}")


def _load_taps(a: Listing, form: DepthwiseForm, taps: list[str]) -> None:
    """The taps of the kernel row at r1; r11 is free."""
    if form.is_narrow:
        a.op("ldr", "r11", "[r1]", note="a kernel row, and what is behind it")
    for i, tap in enumerate(taps):
        if form.is_narrow:
            a.op("sbfx", tap, "r11", f"#{i * form.weight_bits}", f"#{form.weight_bits}")
        else:
            a.op("ldrsb", tap, f"[r1, #{i}]")


def _unpack_bytes(a: Listing, frame: Frame, form: DepthwiseForm) -> None:
    """All kernel rows to scratch, and from there to registers where they fit; r2 is the scale."""
    taps = [f"r{4 + i}" for i in range(form.kernel_width)]
    words = form.kernel_height * len(form.words)
    frame.load(a, "r3", "weights")
    a.op("add", "r12", "r3", f"#{4 * words}")
    a.label("unpack", "a kernel row")
    _load_taps(a, form, taps)
    for tap in taps:
        a.op("mul", tap, tap, "r2")
    for tap, behind in itertools.pairwise(taps):
        a.op("pkhbt", tap, tap, behind, "lsl #16")
    if len(taps) == 1:
        a.op("uxth", taps[0], taps[0])
    a.op("stm", "r3!", registers(taps[: len(form.words)]))
    a.op("add", "r1", "r1", f"#{form.tap_row_bytes}")
    a.op("cmp", "r3", "r12")
    a.branch("bne", "unpack")
    a.op("add", "r1", "r1", f"#{4 * form.constants_at - form.special_at}", note="behind the last byte")
    if form.resident:
        a.op("sub", "r3", "r3", f"#{4 * words}")
        a.op("ldm", "r3", registers(RESIDENT[:words]))
    else:
        frame.store(a, "r3", "weights_end")
