"""Sums to bytes: the steps that functions of several kernels have in common."""

from __future__ import annotations

from thimble.codegen.armv7em.assembly import Frame, Listing

QUAD_SUMS = ("r8", "r9", "r10", "r11")
"""Sums of four channels, where they become one word."""


def scale_sum(
    a: Listing, total: str, multiplier: str, addend: str, scale_bits: int, *, rounds_ties: bool, spare: str
) -> None:
    """The upper 32 bits of total * multiplier + addend * 2^32, rounded; the total is scaled by 2^scale_bits.

    The addend has what rounds to nearest. With `rounds_ties` halves go away from zero, which takes a `spare` register.
    """
    if rounds_ties:
        a.op("asr", spare, total, "#31")
    a.op("smmla", total, total, multiplier, addend)
    if rounds_ties:
        a.op("add", total, total, spare, f"lsl #{scale_bits - 1}", note="halves away from zero")


def join_quad(a: Listing, frame: Frame, clamps: bool) -> None:
    """Four saturated sums as the bytes of one word, in the first one, within the layer's limits if it `clamps`."""
    first, second, third, fourth = QUAD_SUMS
    a.op("bfi", first, second, "#8", "#8")
    a.op("bfi", third, fourth, "#8", "#8")
    a.op("pkhbt", first, first, third, "lsl #16")
    if clamps:
        frame.load(a, "r3", "ceiling")
        frame.load(a, "r4", "offset")
        a.op("uqadd8", first, first, "r3", note="saturates at the upper limit")
        a.op("uadd8", first, first, "r4")
