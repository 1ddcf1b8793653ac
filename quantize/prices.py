"""What a choice of bits costs: bit operations, and bytes of weights."""

from __future__ import annotations

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.quantize.choices import Bits, Price


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
    sizes = {p: site.input(1).type.elements for p, site in enumerate(graph.sites) if _has_weights(site)}
    fixed = sum(v.type.bytes for v in graph.values if v.data is not None) - sum(sizes.values())

    def price(bits: Bits) -> float:
        return float(fixed + sum(-(-elements * bits.layer(p) // 8) for p, elements in sizes.items()))

    return price


def _has_weights(site: Site) -> bool:
    return isinstance(site.op, WeightedOperator) and site.input(1).data is not None
