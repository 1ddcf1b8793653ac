"""Sums of two output channels for two pixels in assembly for Armv6-M, where gcc takes twice the cycles.

It loads every weight from flash by itself and moves sums between low and high registers around each addition. Here a
word from flash brings four weights, and ADD of any register keeps the sums in high ones.
"""

from __future__ import annotations

from thimble.codegen.armv7em.assembly import Listing

SEGMENT = 2
"""Taps whose products are added up before their halves are taken apart."""


def pair_sums_listing(name: str) -> Listing:
    """void f(const uint32_t *panel, int32_t depth, const int32_t *weights, int32_t *sums): block_sums of its C twin.

    weights (depth / 2, 2 taps, 2 channels) bytes; sums (2 channels, 2 pixels). depth is even and not 0.
    """
    a = Listing(name)
    _begin(a)
    a.label("turn", "28 cycles for 8 products, and what flash takes for a word")
    a.op("ldmia", "r0!", "{r2, r3}", note="words of two pixels, of two taps")
    a.op("ldmia", "r1!", "{r4}", note="weights: tap 0 of both channels, tap 1 of both")
    a.op("sxtb", "r5", "r4")
    a.op("muls", "r5", "r2")
    a.op("lsls", "r6", "r4", "#8")
    a.op("asrs", "r6", "r6", "#24")
    a.op("muls", "r6", "r3")
    _add_up(a, "r6", both="r8", high="r9")
    a.op("lsls", "r5", "r4", "#16")
    a.op("asrs", "r5", "r5", "#24")
    a.op("muls", "r5", "r2")
    a.op("asrs", "r4", "r4", "#24")
    a.op("muls", "r4", "r3")
    _add_up(a, "r4", both="r10", high="r11")
    a.op("cmp", "r0", "r12")
    a.branch("bne", "turn")
    _end(a)
    return a


def _begin(a: Listing) -> None:
    a.op("push", "{r4-r7, lr}")
    for low, high in zip(_LOW, _HIGH, strict=True):
        a.op("mov", low, high)
    a.op("push", "{r3-r7}")
    a.op("lsls", "r4", "r1", "#14", note="2^15 a segment of two taps")
    a.op("negs", "r4", "r4")
    a.op("mov", "r8", "r4")
    a.op("mov", "r10", "r4")
    a.op("lsls", "r1", "r1", "#2")
    a.op("adds", "r1", "r1", "r0")
    a.op("mov", "r12", "r1", note="end of the panel")
    a.op("mov", "r1", "r2")
    a.op("movs", "r4", "#0")
    a.op("mov", "r9", "r4")
    a.op("mov", "r11", "r4")
    a.op("movs", "r7", "#128")
    a.op("lsls", "r7", "r7", "#8", note="2^15")


def _add_up(a: Listing, product: str, both: str, high: str) -> None:
    """One segment: r5 and `product` are the products of its taps."""
    a.op("adds", "r5", "r5", product)
    a.op("adds", "r5", "r5", "r7")
    a.op("add", both, "r5")
    a.op("asrs", "r5", "r5", "#16")
    a.op("add", high, "r5")


def _end(a: Listing) -> None:
    a.op("pop", "{r3}")
    for both, high in (("r8", "r9"), ("r10", "r11")):
        a.op("mov", "r4", both)
        a.op("mov", "r5", high)
        a.op("lsls", "r6", "r5", "#16")
        a.op("subs", "r4", "r4", "r6")
        a.op("stmia", "r3!", "{r4, r5}")
    a.op("pop", "{r4-r7}")
    for low, high in zip(_LOW, _HIGH, strict=True):
        a.op("mov", high, low)
    a.op("pop", "{r4-r7, pc}")


_LOW = ("r4", "r5", "r6", "r7")
_HIGH = ("r8", "r9", "r10", "r11")
