"""Convolutions that write late, where that lets an output row lie exactly over an input row that nobody needs any more.

A depthwise convolution reads pixel x of a row once more for pixel x + 1, so that its output must begin a pixel in
front of the row over which it lies; a pointwise one reads a whole pixel for each channel of its output, so that it must
too. From layer to layer rows then creep forward, and the gaps between them cost memory. Late ones keep their place.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.convolution import WindowConvolution


def write_late(graph: Graph) -> Graph:
    """The graph with all convolutions that can gain by it writing late: fewer bytes between rows, more cycles."""
    nodes = tuple(
        replace(node, op=replace(node.op, writes_late=True))
        if isinstance(node.op, WindowConvolution) and node.op.may_write_late(site)
        else node
        for node, site in zip(graph.nodes, graph.sites, strict=True)
    )
    return replace(graph, nodes=nodes)
