"""FULLY_CONNECTED on Armv8.1-M with MVE: four output channels of one row at a time."""

from __future__ import annotations

from thimble.codegen.armv81m.arithmetic import arithmetic_of
from thimble.codegen.armv81m.blocks import LANES, packed_blocks
from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, Input, KernelCall, Output, Table


def specialise_fully_connected(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Packed weights in place of thimble_fully_connected_s8; None where the preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    if layer is None or sizes["weights_zero_point"] != 0 or arithmetic_of(layer) is None:
        return None
    channels, depth = layer.weights.shape
    kept = ("output_zero_point", "output_min", "output_max")
    params = (
        ("rows", sizes["rows"]),
        ("depth", depth),
        ("channels", channels),
        *((name, sizes[name]) for name in kept),
    )
    table = Table("packed", packed_blocks(layer, 1, -(-depth // LANES) * LANES))
    source = GeneratedKernel((), needs=("fully_connected_mve",))
    return KernelCall("fully_connected_mve", params, (Input(0), table, Output()), source)
