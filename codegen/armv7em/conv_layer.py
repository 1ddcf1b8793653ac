"""What the kernels of CONV_2D on Armv7E-M are made from: a layer, and how its sums can be made and requantized."""

from __future__ import annotations

from dataclasses import dataclass, replace

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.shared_shift import SharedShift, share_shift
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, Requantization, plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes, keeps_pixels, sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall


@dataclass(frozen=True, slots=True, eq=False)
class ConvLayer:
    """What every kernel is made from: the layer, how its sums are made, the core, and the most bytes of scratch."""

    site: Site
    layer: PlainLayer
    sizes: Sizes
    arithmetic: Arithmetic
    constants: Requantization | SharedShift
    core: Core
    limit_bytes: int

    @property
    def pixels(self) -> int:
        """Of the output, of all images."""
        return self.site.output().type.elements // len(self.layer.weights)

    @property
    def keeps_pixels(self) -> bool:
        """Whether each pixel of the output is made from the same one of the input."""
        return keeps_pixels(self.sizes)


def conv_layer(site: Site, call: KernelCall, core: Core, limit_bytes: int) -> ConvLayer | None:
    """The layer behind a plain kernel's call; None where it has groups, or nothing can be proved of its sums."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    if layer is None or sizes["group_channels"] != sizes["input_channels"] or len(layer.weights) < 2:
        return None
    found = fuse_pixels(layer)
    if found is None:
        return None
    arithmetic, constants = found
    return ConvLayer(site, layer, sizes, arithmetic, constants, core, limit_bytes)


def fuse_pixels(layer: PlainLayer) -> tuple[Arithmetic, Requantization | SharedShift] | None:
    """What fuse_sums says, with one last shift for all channels where that gives the same bytes."""
    found = fuse_sums(layer)
    shared = share_shift(layer) if found is not None and found[0].folded else None
    if found is None or shared is None:
        return found
    return replace(found[0], shift=shared.shift), shared


def fuse_sums(layer: PlainLayer) -> tuple[Arithmetic, Requantization] | None:
    """How the sums are made, and the constants of their requantization; None where nothing can be proved."""
    plain = plain_requantization(layer)
    folded = plain.with_bits(MAX_SCALE_BITS) if layer.weights.min() >= -127 else None
    constants = folded or plain.with_equal_bits()
    if constants is None:
        return None
    bits = constants.uniform_bits
    return Arithmetic(folded is not None, bits, layer.rounds_ties, layer.limits_inside), constants
