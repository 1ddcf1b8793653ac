"""What the work of a node and of its kernel calls is counted from: sizes, names and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Accumulator, EndRow, FirstRow, Input, InputRows, KernelCall, OutputRows, Table

Work = Mapping[str, float]
"""Amounts by name, as COUNTS lists them."""


@dataclass(frozen=True, slots=True)
class NodeSize:
    """Elements of all inputs and outputs of a node, its multiply-accumulates and its steps by rows.

    Of inputs, weights and outputs the `narrow_` ones are elements below 8 bits.
    """

    inputs: int
    outputs: int
    macs: int
    steps: int
    narrow_inputs: int = 0
    narrow_weights: int = 0
    narrow_outputs: int = 0

    @property
    def is_narrow(self) -> bool:
        """Whether anything has fewer than 8 bits."""
        return bool(self.narrow_inputs or self.narrow_weights or self.narrow_outputs)

    @classmethod
    def of(cls, site: Site) -> NodeSize:
        """The size of a node; one that cannot run by rows makes its output in one step."""
        form = site.op.rows(site)
        given = [v.type for v in site.inputs if v is not None and v.role is not Role.CONSTANT]
        constants = [v.type for v in site.inputs if v is not None and v.role is Role.CONSTANT]
        made = [v.type for v in site.outputs]
        return cls(
            inputs=sum(t.elements for t in given),
            outputs=sum(t.elements for t in made),
            macs=site.op.macs(site),
            steps=max(form.steps, 1) if form else 1,
            narrow_inputs=sum(t.elements for t in given if t.dtype.is_packed),
            narrow_weights=sum(t.elements for t in constants if t.dtype.is_packed),
            narrow_outputs=sum(t.elements for t in made if t.dtype.is_packed),
        )


@dataclass(frozen=True, slots=True)
class CallShape:
    """What is left of a kernel call to count its work: its name, its numbers, and the bytes of its tables.

    `for_one_row`: it is called once for each row. `prepared`: its weights were laid out for it offline. A kernel of two
    layers does what those of its `parts` do.
    """

    kernel: str
    numbers: Mapping[str, int]
    table_bytes: int
    for_one_row: bool
    prepared: bool
    parts: tuple[CallShape, ...] = ()

    @classmethod
    def of(cls, call: KernelCall, by_rows: bool) -> CallShape:
        """The shape of a call; `by_rows` where it is one of a row form."""
        # Kernels around others hold the parameters of these as "kernel.<name>".
        numbers = {name.rpartition(".")[2]: value for name, value in call.params if isinstance(value, int)}
        tables = sum(a.data.nbytes for a in call.arguments if isinstance(a, Table))
        kinds = (InputRows, OutputRows, FirstRow, EndRow, Accumulator)
        one_row = by_rows and not any(isinstance(argument, kinds) for argument in call.arguments)
        as_given = packed_entry(call.kernel) != call.kernel or Input(1) in call.arguments
        prepared = call.source is not None and tables > 0 and not as_given
        return cls(call.kernel, numbers, tables, one_row, prepared, _parts(call))


PARTS = ("convolution.", "depthwise.")
"""Of the kernels of two convolutions in one: how their numbers begin."""

FILLED = "filled"
"""A number of both parts: for how many groups of four channels at once one of them fills the planes of the other."""

BAND_ROWS = "band_rows"
"""A number of both parts: the rows between the two that are made before outputs are."""


def _parts(call: KernelCall) -> tuple[CallShape, ...]:
    if not call.kernel.startswith("conv_2d_depthwise_dsp"):
        return ()
    tables = [a.data.nbytes for a in call.arguments if isinstance(a, Table)]
    own_numbers = {name: value for name, value in call.params if isinstance(value, int)}
    shared = {FILLED: own_numbers["quads_at_once"], BAND_ROWS: own_numbers[BAND_ROWS]}
    found = []
    for prefix, table_bytes in zip(PARTS, tables, strict=True):
        own = {name: value for name, value in own_numbers.items() if name.startswith(prefix)}
        numbers = {name.rpartition(".")[2]: value for name, value in own.items()} | shared
        found.append(CallShape(_like(numbers), numbers, table_bytes, False, True))
    return tuple(found)


def _like(numbers: Mapping[str, int]) -> str:
    """The kernel that does about what a part with these numbers does."""
    if "packed_height" in numbers:
        return "depthwise_conv_2d_dsp"
    return "conv_2d_windows_dsp" if "windows" in numbers else "conv_2d_rows_dsp"


def packed_entry(kernel: str) -> str:
    """The entry of a plain kernel for elements below 8 bits among the costs; of any other kernel its name."""
    found = re.fullmatch(r"(.+?)((?:_[sw][248])+)", kernel)
    return f"{found[1]}_packed" if found and re.search("[24]", found[2]) else kernel
