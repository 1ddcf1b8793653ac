"""Activations of 4 or 2 bits: kernels for int8 rows, between unpacking what a window needs and packing what is made.

Each input row of a call, or pixel of a pointwise layer, is unpacked once, about 2 cycles an element, and each output
row is packed: a few rows of int8 stand in scratch, while the tensors stay packed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod

from thimble.codegen.armv7em.around import SCRATCH_ALIGNMENT, declarations, with_scratch
from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise_convolution import specialise_depthwise
from thimble.codegen.armv7em.narrow_weights import least_unpacking, specialise_by_pairs, with_int8_weights
from thimble.codegen.armv7em.pixel_sums import specialise_average_pool, specialise_max_pool
from thimble.codegen.armv7em.pointwise import pixels_portion
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    FirstRow,
    GeneratedKernel,
    KernelCall,
    ParamValue,
    Scratch,
)
from thimble.compiler.ir.types import DType

MAX_UNPACKED_BYTES = 1 << 16
"""Most scratch for unpacked rows: offsets of rows have 16 bits, in words."""

PIXELS = (128, 96, 64, 48, 32, 24, 16, 12, 8, 4)
"""Pixels of pointwise layers at once: more of them are weights that are read and unpacked less often, and scratch."""

_SPANS = {"rows": {"first": "row", "end": "next"}, "pixels": {"first": "0", "end": "1"}}
"""The rows that the kernel for int8 makes in one call, as the templates name them."""

ACCUMULATIONS = ("average_pool_2d_accumulate", "reduce_sum_accumulate")
"""Families of kernels that add up rows in lanes of 16 bits."""

INT16_MAX, LANES = 0x7FFF, 4

Find = Callable[[Site, KernelCall, Core, bool, int], KernelCall | None]


def packed_kernels(family: str, weight_bits: Sequence[int]) -> tuple[str, ...]:
    """The plain kernels of a family with activations below 8 bits on either side (ops/packed.py)."""
    activations = [pair for pair in product((8, 4, 2), repeat=2) if pair != (8, 8)]
    return tuple(f"{family}_s{given}_w{bits}_s{made}" for given, made in activations for bits in weight_bits)


def specialise_packed_conv_2d(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel of a convolution around packed rows; None where int8 activations have none either."""
    direct = replace(core, winograd_bytes=0)
    own_code = replace(direct, compact=False)

    def packed(find: Find, site: Site, room: int) -> KernelCall | None:
        by_pixels = _by_pixels(find, site, call, direct, room) if whole else None
        by_rows = (_by_rows(find, "rows", site, call, core, room) for core in (direct, own_code))
        return by_pixels or next((made for made in by_rows if made is not None), None)

    if not site.input(1).type.dtype.is_packed:
        return packed(specialise_conv_2d, site, limit_bytes)
    wide = with_int8_weights(site)
    by_pairs = packed(specialise_by_pairs, site, limit_bytes)
    return least_unpacking(site, whole, by_pairs, lambda room: packed(specialise_conv_2d, wide, room), limit_bytes)


def specialise_packed_depthwise(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The same for a depthwise convolution."""
    return _by_rows(specialise_depthwise, "planes", site, call, core, limit_bytes)


def specialise_packed_pool(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel of a pool around packed rows, plain C where there is no other."""
    average = call.kernel.startswith("average")
    kernel = "average_pool_2d_s8" if average else "max_pool_2d_s8"
    plain = replace(call, kernel=kernel, source=GeneratedKernel((), (kernel,)))

    def find(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall:
        own = specialise_average_pool if average else specialise_max_pool
        found = own(site, plain, core, whole, limit_bytes)
        return plain if found is None else replace(found, source=GeneratedKernel((), (found.kernel,)))

    return _by_rows(find, "rows", site, call, core, limit_bytes)


def specialise_packed_accumulation(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel that adds up int8 rows in 16 bits around packed rows; None where sums could leave these bits."""
    sizes, given, made = sizes_of(call), site.input(0).type, site.output().type
    family = next(family for family in ACCUMULATIONS if call.kernel.startswith(family))
    most = sizes["input_height"] * sizes["input_width"] << (given.dtype.bits - 1)
    limits = ("output_min", "output_max") if family == "reduce_sum_accumulate" else ()
    if most > INT16_MAX or sizes["channels"] < LANES or not given.dtype.is_packed or (limits and made.dtype.is_packed):
        return None
    own = (("width", given.shape[2]), ("input_bits", given.dtype.bits), ("output_bits", made.dtype.bits))
    row_bytes = -(-sizes["input_width"] * sizes["channels"] // 4) * 4
    scratch = Scratch(row_bytes + (sizes["channels"] if made.dtype.is_packed else 0), "uint32_t")
    base, kernel = f"{family}_dsp", f"{family}_dsp_packed{made.dtype.bits}"
    context = {"name": f"thimble_{kernel}", "base": f"thimble_{base}", "packs": made.dtype.is_packed}
    files = ((f"thimble_{kernel}.{end}", render(f"packed_accumulate_dsp.{end}.j2", **context)) for end in ("c", "h"))
    params: tuple[tuple[str, ParamValue], ...] = tuple((f"packed.{name}", value) for name, value in own)
    return KernelCall(
        kernel=kernel,
        params=(*params, *((f"kernel.{name}", value) for name, value in call.params if name not in limits)),
        arguments=(*call.arguments, scratch),
        source=GeneratedKernel(tuple(files), (base, "packed_runs_dsp")),
    )


def _by_pixels(find: Find, site: Site, call: KernelCall, core: Core, limit_bytes: int) -> KernelCall | None:
    """The kernel for all pixels of a pointwise layer, on a portion of them at a time: weights are read for each."""
    given, made = site.input(0).type, site.output().type
    pixels = prod(made.shape[:3])
    for portion in PIXELS:
        own: Sizes = {
            "pixels": pixels,
            "at_once": pixels_portion(pixels, portion),
            "input_channels": given.shape[3],
            "input_bits": given.dtype.bits,
            "output_channels": made.shape[3],
            "output_bits": made.dtype.bits,
        }
        spare = _pixel_bytes(own)
        room = limit_bytes - spare - SCRATCH_ALIGNMENT
        shared = find(_with_int8_activations(site), call, core, True, room) if core.compact else None
        if shared is not None and sizes_of(shared).get("flat"):
            at_once = min(own["at_once"], sizes_of(shared)["pixels_at_once"])
            return _around(shared, own | {"at_once": at_once}, "pixels", spare)
        flat = replace(core, variant=Variant("flat", portion))
        inner = find(_with_int8_activations(site), call, flat, True, room)
        if inner is not None:
            return _around(inner, own | {"at_once": sizes_of(inner)["row_pixels"]}, "pixels", spare)
    return None


def _by_rows(find: Find, form: str, site: Site, call: KernelCall, core: Core, limit_bytes: int) -> KernelCall | None:
    """The kernel for rows, on as many at once as it makes by itself: rows between are unpacked and laid out once.

    `form` is the one whose portions are rows.
    """
    wide = _with_int8_activations(site)

    def make(rows: int, variant: Variant) -> tuple[KernelCall, dict[str, int], int] | None:
        own = _packed_params(site, sizes_of(call), rows)
        spare = _row_bytes(own)
        room = limit_bytes - spare - SCRATCH_ALIGNMENT
        inner = find(wide, call, replace(core, variant=variant), False, room) if spare <= MAX_UNPACKED_BYTES else None
        taken = inner is not None and inner.source is not None and FirstRow() in inner.arguments
        return (inner, own, spare) if inner is not None and taken else None

    first = make(1, core.variant)
    if first is None:
        return None
    sizes = sizes_of(first[0])
    most, shared = sizes.get("rows_at_once", 0), "pixels_at_once" in sizes
    options = [(rows, core.variant if shared else Variant(form, rows)) for rows in range(most, 0, -1)]
    if not most:
        at_once = -(-sizes.get("columns", 1) // sizes["output_width"])
        options = [(rows, core.variant) for rows in range(at_once, 1, -1)]
    made = next((found for option in options if (found := make(*option)) is not None), first)
    return _around(made[0], made[1], "rows", made[2])


def _around(inner: KernelCall, own: Sizes, unit: str, spare: int) -> KernelCall:
    """The kernel around one for int8: `unit` names what is unpacked, to `spare` bytes of scratch."""
    kernel = f"{inner.kernel}_packed" + "_pixels" * (unit == "pixels")
    assert inner.source is not None
    params: tuple[tuple[str, ParamValue], ...] = tuple((f"packed.{name}", value) for name, value in own.items())
    return KernelCall(
        kernel=kernel,
        params=(*params, *((f"kernel.{name}", value) for name, value in inner.params)),
        arguments=with_scratch(inner.arguments, spare),
        source=_source(inner.source, inner.kernel, kernel, unit, declarations(inner.arguments)),
    )


def _with_int8_activations(site: Site) -> Site:
    def wide(value: Value) -> Value:
        return replace(value, type=replace(value.type, dtype=DType.INT8)) if value.type.dtype.is_packed else value

    return replace(site, inputs=(wide(site.input(0)), *site.inputs[1:]), outputs=(wide(site.output()),))


def _packed_params(site: Site, sizes: Sizes, at_once: int) -> dict[str, int]:
    """The fields of thimble_packed_rows_params."""
    given, made = site.input(0).type, site.output().type
    return {
        "input_rows": prod(given.shape[:2]),
        "input_height": sizes["input_height"],
        "input_width": sizes["input_width"],
        "input_channels": given.shape[3],
        "input_bits": given.dtype.bits,
        "first_row": -sizes["pad_top"],
        "stride": sizes["stride_height"],
        "reach": (sizes["kernel_height"] - 1) * sizes.get("dilation_height", 1) + 1,
        "output_rows": prod(made.shape[:2]),
        "output_height": sizes["output_height"],
        "output_width": sizes["output_width"],
        "output_channels": made.shape[3],
        "output_bits": made.dtype.bits,
        "at_once": at_once,
    }


def _row_bytes(own: Sizes) -> int:
    """What thimble_packed_rows_open asks for."""

    def held(side: str, count: int) -> int:
        if own[f"{side}_bits"] == 8:
            return 0
        return (
            -(-2 * own[f"{side}_rows"] // 4) * 4 + count * -(-own[f"{side}_width"] * own[f"{side}_channels"] // 4) * 4
        )

    return held("input", (own["at_once"] - 1) * own["stride"] + own["reach"]) + held("output", own["at_once"])


def _pixel_bytes(own: Sizes) -> int:
    """What thimble_packed_pixels_open asks for."""
    sides = (side for side in ("input", "output") if own[f"{side}_bits"] < 8)
    return sum(-(-own["at_once"] * own[f"{side}_channels"] // 4) * 4 for side in sides)


@lru_cache(maxsize=256)
def _source(
    inner: GeneratedKernel, base: str, kernel: str, unit: str, arguments: tuple[tuple[str, str], ...]
) -> GeneratedKernel:
    """The files of the int8 kernel, and those of the one around it."""
    instead = {"input": f"&{unit}.input", "output": f"&{unit}.output"} | _SPANS[unit]
    context = {
        "name": f"thimble_{kernel}",
        "base": f"thimble_{base}",
        "declared": [declared for declared, _ in arguments],
        "given": [instead.get(name, name) for _, name in arguments],
        "unit": unit,
    }
    templates = {"c": f"packed_{unit}_dsp.c.j2", "h": "packed_dsp.h.j2"}
    own = tuple((f"thimble_{kernel}.{end}", render(template, **context)) for end, template in templates.items())
    return GeneratedKernel((*inner.files, *own), (*inner.needs, f"packed_{unit}_dsp", "packed_runs_dsp"))
