"""CONV_2D and the ADD or SUB behind it as one node: what the convolution gives is never stored.

No model file has it; passes/fuse_additions.py makes it of two nodes. The bytes are those of both, one after the other:
each output of the convolution is rounded to int8 before the sum is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    Argument,
    Array,
    GeneratedKernel,
    InputRows,
    KernelCall,
    Operator,
    Overlap,
    Rounding,
    RowForm,
    Scratch,
    Shape,
    Span,
)
from thimble.compiler.ir.types import QuantParams
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.row_wise import cut

RESIDUAL = 3
"""The input that is added; those before it are the convolution's."""


@dataclass(frozen=True, slots=True)
class Conv2DAdd(Operator):
    """Input, weights and optional bias of `convolution`, and the other operand of `addition`, of the output's shape.

    `between` is the quantization of the convolution's output, which is int8 as all else is. It is operand 0 of the
    addition, or operand 1 where the `residual_comes_first`.
    """

    convolution: Conv2D
    addition: AddOrSub
    between: QuantParams
    residual_comes_first: bool

    name = "conv_2d_add"

    def convolution_site(self, site: Site) -> Site:
        """The convolution as a node of its own."""
        return replace(site, op=self.convolution, inputs=site.inputs[:RESIDUAL], outputs=(self._between(site),))

    def addition_site(self, site: Site) -> Site:
        """The addition as a node of its own."""
        operands = self._between(site), site.input(RESIDUAL)
        return replace(site, op=self.addition, inputs=operands[:: -1 if self.residual_comes_first else 1])

    def _between(self, site: Site) -> Value:
        value = site.output()
        return Value(f"{value.name} before the sum", replace(value.type, quant=self.between))

    @property
    def _operand(self) -> int:
        """The addition's operand that is the residual."""
        return 0 if self.residual_comes_first else 1

    def _over_residual(self, overlaps: Sequence[Overlap]) -> tuple[Overlap, ...]:
        """Of the addition's overlaps that over the residual, as this node counts its inputs."""
        return tuple(replace(o, input=RESIDUAL) for o in overlaps if o.input == self._operand)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return self.convolution.shapes(self.convolution_site(site))

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        (between,) = self.convolution.reference(self.convolution_site(site), inputs[:RESIDUAL], rounding)
        operands = (between, inputs[RESIDUAL])[:: -1 if self.residual_comes_first else 1]
        return self.addition.reference(self.addition_site(site), operands, rounding)

    def calls_apart(self, site: Site, rounding: Rounding) -> tuple[KernelCall, KernelCall]:
        """The plain calls of the convolution and the addition, as those of two nodes."""
        (convolution,) = self.convolution.lower(self.convolution_site(site), rounding)
        (addition,) = self.addition.lower(self.addition_site(site), rounding)
        return convolution, addition

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        convolution, addition = self.calls_apart(site, rounding)
        params = (
            *((f"convolution.{name}", value) for name, value in convolution.params),
            *((f"addition.{name}", value) for name, value in addition.params),
            ("residual_comes_first", int(self.residual_comes_first)),
        )
        pixel = Scratch(site.output().type.shape[3], "int8_t")
        *inputs, output, first, end = convolution.arguments
        arguments: tuple[Argument, ...] = (*inputs, InputRows(RESIDUAL), pixel, output, first, end)
        return (KernelCall("conv_2d_add_s8", params, arguments, GeneratedKernel((), ("conv_2d_add_s8", "conv_2d_s8"))),)

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        convolution = self.convolution.overlaps(self.convolution_site(site))
        return (*convolution, *self._over_residual(self.addition.overlaps(self.addition_site(site))))

    def rows(self, site: Site) -> RowForm | None:
        form = self.convolution.rows(self.convolution_site(site))
        added = self.addition.rows(self.addition_site(site))
        if form is None or added is None:
            return None
        overlaps = (*form.overlaps, *self._over_residual(added.overlaps))
        return replace(form, needs=(*form.needs, added.needs[self._operand]), overlaps=overlaps)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return self.lower(site, rounding)

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        needed = self.convolution.needed_columns(self.convolution_site(site), columns)
        return None if needed is None else (*needed, columns)

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        part = self.convolution.restricted(self.convolution_site(site), rows, columns)
        assert isinstance(part.op, Conv2D)
        residual, made = (cut(value, rows, columns) for value in (site.input(RESIDUAL), site.output()))
        return replace(site, op=replace(self, convolution=part.op), inputs=(*part.inputs, residual), outputs=(made,))

    def macs(self, site: Site) -> int:
        return self.convolution.macs(self.convolution_site(site))
