"""FULLY_CONNECTED on cores without SIMD instructions: a block of outputs at a time, each input read once for them."""

from __future__ import annotations

from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import BlockForm, block_size, blocked_weights, constant_tables, fuse_tail, unroll_of
from thimble.codegen.scalar.rendering import kernel_source
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Input, KernelCall, Output

BLOCKS, UNROLLS = (4, 6, 8, 12), (1, 2, 4)
"""Outputs at a time, and inputs in a turn, that may be faster than the default ones."""


def specialise_fully_connected(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """Blocks of outputs in place of thimble_fully_connected_s8; None where the preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    fused = fuse_tail(layer, core) if layer is not None and sizes["weights_zero_point"] == 0 else None
    if layer is None or fused is None:
        return None
    tail, constants = fused
    channels, depth = layer.weights.shape
    block = block_size(channels, core.variant.at_once or core.block)
    form = BlockForm(block, unroll_of(depth, core.variant.unroll), tail)
    limits = ("output_zero_point", "output_min", "output_max")
    params = (
        ("rows", sizes["rows"]),
        ("depth", depth),
        ("channels", channels),
        *((name, sizes[name]) for name in limits),
    )
    weights = blocked_weights(layer.weights, form.block)
    tables = constant_tables(layer.start, constants, form.block)
    name = f"fully_connected_scalar_{form.name}"
    source = kernel_source("fully_connected_scalar", name, form=form)
    return KernelCall(name, params, (Input(0), weights, *tables, Output()), source)


def fully_connected_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a fully connected layer that may be faster than the default one."""
    blocks = [block for block in BLOCKS if block <= sizes["output_channels"]]
    return tuple(Variant("", block, unroll) for block in blocks for unroll in UNROLLS)
