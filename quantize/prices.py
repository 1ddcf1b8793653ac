"""What a choice of bits costs: bit operations, bytes of constants, bytes of activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.quantize.choices import WIDEST, Bits, Losses, Price, Tensors, lost


class BitsExhausted(DoesNotFit):
    """Even the fewest bits take more than is allowed."""


def bit_operations(graph: Graph) -> Price:
    """Multiply-accumulates times the bits of both factors, summed over all nodes.

    Source: the BitOPs of QuantMCU (arXiv 2401.13714), section 4. Products of nodes without constant weights count with
    the bits of their first two operands.
    """
    factors = [
        (site.op.macs(site), position, node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None)
        for position, (node, site) in enumerate(zip(graph.nodes, graph.sites, strict=True))
        if site.op.macs(site)
    ]

    def price(bits: Bits) -> float:
        return float(sum(macs * bits.value(a) * bits.layers.get(p, bits.value(b)) for macs, p, a, b in factors))

    return price


def weight_bytes(graph: Graph) -> Price:
    """Bytes of all constants, weights packed."""
    sizes = {p: site.input(1).type for p, site in enumerate(graph.sites) if _has_weights(site)}
    fixed = sum(v.type.bytes for v in graph.values if v.data is not None) - sum(t.bytes for t in sizes.values())
    return lambda bits: float(fixed + sum(-(-t.elements * bits.layer(p) // WIDEST) for p, t in sizes.items()))


def activation_bytes(graph: Graph) -> Callable[[Bits], Array]:
    """Bytes of the activations that are live while each node runs, one number a node, for a choice of bits.

    The largest of them is a bound for an arena of whole layers in which no output lies over its input.
    """
    last = {i: p for p, node in enumerate(graph.nodes) for i in node.inputs if i is not None}
    spans = []
    for index, value in enumerate(graph.values):
        if value.role is Role.CONSTANT:
            continue
        first = next((p for p, node in enumerate(graph.nodes) if index in node.outputs), 0)
        end = len(graph.nodes) if index in graph.outputs else last.get(index, first) + 1
        pixels = prod(value.type.shape[:-1])
        spans.append((index, slice(first, end), pixels, value.type.elements // max(pixels, 1), value.type.bytes))

    def live(bits: Bits) -> Array:
        found = np.zeros(len(graph.nodes), np.int64)
        for index, span, pixels, channels, whole in spans:
            width = bits.values.get(index)
            found[span] += whole if width is None else pixels * -(-channels * width // WIDEST)
        return found

    return live


def within_bytes(
    graph: Graph,
    tensors: Tensors,
    losses: Losses,
    flash_bytes: int | None,
    sram_bytes: int | None,
    constants: Price | None = None,
) -> Bits:
    """The changes that lose least for each byte until constants and live activations are within limits.

    `constants` prices constants where they take other bytes than the graph's own. Raises BitsExhausted where all
    changes together do not suffice.
    """
    bits = Bits()
    if flash_bytes is not None:
        constants = constants or weight_bytes(graph)
        steps = [
            lambda old, p=p, width=width: old.with_layer(p, width) for p in tensors.layers for width in losses.layers[p]
        ]
        bits = _shrunk(bits, steps, lambda b: lost(tensors, losses, b), constants, flash_bytes, "constants")
    if sram_bytes is not None:
        live = activation_bytes(graph)
        steps = [
            lambda old, g=g, width=width: old.with_group(g, width)
            for g in tensors.groups
            for width in losses.groups[g[0]]
        ]

        def excess(b: Bits) -> float:
            return float(sram_bytes + np.maximum(live(b) - sram_bytes, 0).sum())

        bits = _shrunk(bits, steps, lambda b: lost(tensors, losses, b), excess, sram_bytes, "live activations")
    return bits


def _shrunk(
    bits: Bits,
    changes: Sequence[Callable[[Bits], Bits]],
    loss: Callable[[Bits], float],
    size: Price,
    limit: int,
    what: str,
) -> Bits:
    """A choice changed step by step, where that loses least for each byte, until its size is within a limit."""
    while size(bits) > limit:
        before, cost = size(bits), loss(bits)
        smaller = [(made, before - size(made)) for made in (change(bits) for change in changes)]
        smaller = [(made, gain) for made, gain in smaller if gain > 0]
        if not smaller:
            raise BitsExhausted(
                f"With the fewest bits, {what} take {before:.0f} bytes, {before - limit:.0f} more than allowed.",
                int(before),
                limit,
            )
        bits = min(smaller, key=lambda pair: (loss(pair[0]) - cost) / min(pair[1], before - limit))[0]
    return bits


def _has_weights(site: Site) -> bool:
    return isinstance(site.op, WeightedOperator) and site.input(1).data is not None
