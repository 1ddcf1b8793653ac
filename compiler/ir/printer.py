"""Text form of a graph, one line a node, for `--emit graph` and for messages."""

from __future__ import annotations

from dataclasses import fields

from thimble.compiler.ir.graph import Graph, Value


def print_graph(graph: Graph) -> str:
    """The graph as text: inputs, states, nodes in order, outputs."""
    lines = [f"graph {graph.name!r}"]
    lines += [f"  input  %{i}: {_describe(graph.values[i])}" for i in graph.inputs]
    lines += [f"  state  %{i}: {_describe(graph.values[i])}" for i in graph.states]
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        attributes = ", ".join(f"{f.name}={getattr(node.op, f.name)}" for f in fields(node.op))
        operands = ", ".join("-" if i is None else f"%{i}" for i in node.inputs)
        results = ", ".join(f"%{i}: {_describe(v)}" for i, v in zip(node.outputs, site.outputs, strict=True))
        lines.append(f"  {results or '()'} = {node.op.name}({operands}) {{{attributes}}}")
    lines += [f"  output %{i}" for i in graph.outputs]
    return "\n".join(lines) + "\n"


def _describe(value: Value) -> str:
    quant = value.type.quant
    text = str(value.type)
    if quant is not None and quant.per_tensor:
        text += f" scale={quant.scale:.9g} zero_point={quant.zero_point}"
    elif quant is not None:
        text += f" per-axis({quant.axis})"
    return text
