"""Winograd on Armv7E-M: the products of transformed inputs and weights, position by position."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.codegen.armv7em.assembly import FPU_REGISTERS, Frame, Listing, add_constant
from thimble.codegen.armv7em.sums import PIXELS, SUMS, WEIGHTS
from thimble.codegen.armv7em.winograd import POSITIONS, TILE_BYTES, WinogradForm


def products_listing(form: WinogradForm, has_fpu: bool) -> Listing:
    """void f(const uint32_t *inputs, const int32_t *weights, int32_t *products): two output channels, all tiles."""
    if has_fpu and form.channels <= FPU_REGISTERS and form.unroll == form.channels // 2 and form.tiles > 4:
        return _products_from_fpu(form)
    a = Listing(f"thimble_winograd_products_dsp_{form.name}")
    names = ("first", "last", "store", "group_end", "turn_end")
    frame = Frame(names, names, has_fpu)
    tile = 2 * form.channels
    looped = form.unroll < form.channels // 2
    _begin_positions(a, frame)
    frame.store(a, "r2", "first")
    frame.store(a, "r2", "store")
    add_constant(a, "r3", "r2", form.tiles * TILE_BYTES)
    frame.store(a, "r3", "group_end")
    a.label("group", "4 tiles, 2 output channels")
    if looped:
        a.op("add", "r2", "r0", f"#{tile}")
        frame.store(a, "r2", "turn_end")
        for total in SUMS:
            a.op("mov", total, "#0")
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("turn", f"{17 * form.unroll + 6 * looped} cycles, {16 * form.unroll} products")
    for step in range(form.unroll):
        a.op("ldr", WEIGHTS[0], f"[r1, #{8 * step}]")
        a.op("ldr", WEIGHTS[1], f"[r1, #{8 * step + 4}]")
        _products_step(a, form, step, starts=step == 0 and not looped)
    a.op("adds", "r1", f"#{8 * form.unroll}")
    if looped:
        frame.load(a, "r2", "turn_end")
        a.op("cmp", "r0", "r2")
        a.branch("bne", "turn")
    frame.load(a, "r2", "store")
    _store_products(a, "r2")
    a.op("add", "r0", "r0", f"#{3 * tile}")
    if form.tiles > 4:
        frame.load(a, "r3", "group_end")
        a.op("add", "r2", "r2", f"#{4 * TILE_BYTES}")
        frame.store(a, "r2", "store")
        a.op("cmp", "r2", "r3")
        a.op("it", "ne")
        a.op("subne", "r1", "r1", f"#{4 * form.channels}", note="the same weights again")
        a.branch("bne", "group")
    _next_position(a, frame, (("r2", "first"), ("r3", "last")))
    return a


def _products_from_fpu(form: WinogradForm) -> Listing:
    """The same for few channels: a position's weights wait in FPU registers, from where a word takes one cycle."""
    a = Listing(f"thimble_winograd_products_dsp_{form.name}")
    frame = Frame(("weights", "first", "last", "group_end"), (), has_fpu=False)
    words = form.channels
    _begin_positions(a, frame)
    a.op("vldmia", "r1!", f"{{s0-s{words - 1}}}")
    frame.store(a, "r1", "weights")
    frame.store(a, "r2", "first")
    add_constant(a, "r3", "r2", form.tiles * TILE_BYTES)
    frame.store(a, "r3", "group_end")
    a.op("mov", "r1", "r2")
    a.op(".balign", 4)
    a.label("group", f"4 tiles, 2 output channels: {16 * form.unroll + 17} cycles, {16 * form.unroll} products")
    for step in range(form.unroll):
        for register, word in zip(WEIGHTS, (2 * step, 2 * step + 1), strict=True):
            a.op("vmov", register, f"s{word}")
        _products_step(a, form, step, starts=step == 0)
    frame.load(a, "r3", "group_end")
    _store_products(a, "r1")
    a.op("add", "r1", "r1", f"#{4 * TILE_BYTES}")
    a.op("add", "r0", "r0", f"#{6 * form.channels}")
    a.op("cmp", "r1", "r3")
    a.branch("bne", "group")
    _next_position(a, frame, (("r2", "first"), ("r3", "last"), ("r1", "weights")))
    return a


def _begin_positions(a: Listing, frame: Frame) -> None:
    """Enter, and begin the loop over the positions of products at r2."""
    frame.enter(a)
    a.op("add", "r3", "r2", f"#{4 * POSITIONS}")
    frame.store(a, "r3", "last")
    a.op("sub", "r0", "r0", "#4", note="loads are 4 bytes ahead of their base")
    a.label("position")


def _next_position(a: Listing, frame: Frame, kept: Sequence[tuple[str, str]]) -> None:
    """Fetch the first products and where they end, in r2 and r3; go on to the next position, or leave."""
    frame.load_all(a, kept)
    a.op("adds", "r2", "#4")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "position")
    frame.leave(a)


def _products_step(a: Listing, form: WinogradForm, step: int, starts: bool) -> None:
    """Two input channels of four tiles: r2, r3 weights of both output channels, r4, r5 two tiles; 16 products."""
    for pair in ((2, 3), (1, 0)):
        for register, tile in zip(PIXELS, pair, strict=True):
            ends = step == form.unroll - 1 and tile == 0
            a.op("ldr.w", register, f"[r0, #{2 * form.channels * tile + 4 * step + 4}]" + "!" * ends)
        for register, tile in zip(PIXELS, pair, strict=True):
            for channel, weights in enumerate(WEIGHTS):
                total = SUMS[2 * tile + channel]
                a.op("smuad" if starts else "smlad", total, register, weights, *(() if starts else (total,)))


def _store_products(a: Listing, base: str) -> None:
    """The sums of four tiles and two output channels to one position of each."""
    for index, total in enumerate(SUMS):
        a.op("str", total, f"[{base}, #{index // 2 * TILE_BYTES + index % 2 * 4 * POSITIONS}]")
