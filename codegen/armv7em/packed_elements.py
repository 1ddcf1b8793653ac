"""Activations of 4 or 2 bits without windows: kernels for int8 on some pixels, between unpacking and packing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from thimble.codegen.armv7em.addition import specialise_add
from thimble.codegen.armv7em.around import aligned_bytes, with_scratch
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.vector_matmul import specialise_fully_connected
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    Argument,
    GeneratedKernel,
    Input,
    KernelCall,
    Output,
    ParamValue,
    Scratch,
    Table,
)

ELEMENTS = 256
"""About as many elements of each operand at once: the calls for them cost little, and neither does the scratch."""

_FETCHED = "thimble_packed_elements_fetch(p->input{0}, input{0}, first, count, place{0})"
_TARGET = "thimble_packed_elements_target(p->output, output, first, made)"


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Pixels of a call, and channels and bits of each operand and of the result, by their names in the runtime."""

    pixels: int
    operands: Mapping[str, tuple[int, int]]

    def scratch_bytes(self, at_once: int) -> int:
        """For so many pixels as int8 of all that are packed."""
        return sum(-(-at_once * channels // 4) * 4 for channels, bits in self.operands.values() if bits < 8)

    def at_once(self, room: int) -> int:
        """Pixels at once within so many bytes; 0 where there is not even room for one."""
        wanted = max(ELEMENTS // max(channels for channels, _ in self.operands.values()), 1)
        fitting = (n for n in range(min(wanted, self.pixels), 0, -1) if self.scratch_bytes(n) <= room)
        return next(fitting, 0)

    def params(self, at_once: int) -> tuple[tuple[str, ParamValue], ...]:
        """The fields of thimble_packed_elements_params."""
        operands = {"input2": (0, 8)} | dict(self.operands)
        fields = (
            (f"packed.{name}.{field}", value)
            for name, operand in operands.items()
            for field, value in zip(("channels", "bits"), operand, strict=True)
        )
        return (("packed.pixels", self.pixels), ("packed.at_once", at_once), *fields)


def specialise_packed_add(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The kernel of ADD and SUB for int8 around packed operands; None where no constants are exact."""
    params = dict(call.params)
    dims = params["dims"]
    assert isinstance(dims, tuple)
    pixels, channels = dims[-2:]
    lined_up = {"dims": (*dims[:-2], 1, pixels * channels), "strides1": (0,) * (len(dims) - 1) + (1,)}
    flat = tuple((params | lined_up | {"strides2": lined_up["strides1"]}).items())
    inner = specialise_add(site, replace(call, params=flat), core, whole, limit_bytes)
    operands = {name: (channels, value.type.dtype.bits) for name, value in zip(_NAMES, _values(site), strict=True)}
    return _around(inner, _Pixels(pixels, operands), "count = count * p->output.channels", limit_bytes)


_NAMES = ("input1", "input2", "output")


def _values(site: Site) -> tuple[Value, ...]:
    return site.input(0), site.input(1), site.output()


def specialise_packed_fully_connected(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The kernel of a fully connected layer around packed rows; None where int8 activations have none either."""
    sizes = sizes_of(call)
    operands = {
        "input1": (sizes["depth"], site.input(0).type.dtype.bits),
        "output": (sizes["output_channels"], site.output().type.dtype.bits),
    }
    inner = specialise_fully_connected(site, call, core, whole, limit_bytes)
    return _around(inner, _Pixels(sizes["rows"], operands), "rows = count", limit_bytes)


def _around(inner: KernelCall | None, pixels: _Pixels, counted: str, limit_bytes: int) -> KernelCall | None:
    """The kernel around one for int8, whose parameter of how much there is becomes that of some pixels."""
    if inner is None or inner.source is None:
        return None
    at_once = pixels.at_once(limit_bytes - aligned_bytes(inner.scratch_bytes))
    if not at_once:
        return None
    kernel = f"{inner.kernel}_packed"
    return KernelCall(
        kernel=kernel,
        params=(*pixels.params(at_once), *((f"kernel.{name}", value) for name, value in inner.params)),
        arguments=with_scratch(inner.arguments, pixels.scratch_bytes(at_once)),
        source=_source(inner.source, inner.kernel, kernel, counted, tuple(map(_declaration, inner.arguments))),
    )


def _declaration(argument: Argument) -> tuple[str, str]:
    """An argument as the kernel declares it, and as it is handed to the kernel for int8."""
    if isinstance(argument, Input):
        number = argument.index + 1
        return f"const void *input{number}", _FETCHED.format(number)
    if isinstance(argument, Output):
        return "void *output", _TARGET
    if isinstance(argument, Scratch):
        return f"{argument.dtype} *scratch", "scratch"
    if isinstance(argument, Table):
        return f"const {argument.data.dtype.name}_t *{argument.name}", argument.name
    raise ValueError(f"{argument} has no place in a kernel of elements")


@lru_cache(maxsize=256)
def _source(
    inner: GeneratedKernel, base: str, kernel: str, counted: str, arguments: tuple[tuple[str, str], ...]
) -> GeneratedKernel:
    """The files of the int8 kernel, and those of the one around it."""
    context = {
        "name": f"thimble_{kernel}",
        "base": f"thimble_{base}",
        "declared": [declared for declared, _ in arguments],
        "given": [given for _, given in arguments],
        "two": any("input2" in declared for declared, _ in arguments),
        "counted": counted,
        "unit": "elements",
    }
    templates = {"c": "packed_elements_dsp.c.j2", "h": "packed_dsp.h.j2"}
    own = tuple((f"thimble_{kernel}.{end}", render(template, **context)) for end, template in templates.items())
    return GeneratedKernel((*inner.files, *own), (*inner.needs, "packed_elements_dsp", "packed_runs_dsp"))
