"""A graph under change: what the passes share, so that each of them states only its own rule."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value


class Draft:
    """Values and nodes of a graph that a pass edits; `finish` gives the new graph.

    Values keep their indices; those that nothing names any more stay behind, for `remove_dead` to sweep up.
    A dropped node leaves None in its place, so that positions stay valid while a pass walks over them.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.values = list(graph.values)
        self.nodes: list[Node | None] = list(graph.nodes)
        self.outputs = graph.outputs

    def finish(self) -> Graph:
        """The graph as it is now; the very same object where nothing changed."""
        nodes = tuple(node for node in self.nodes if node is not None)
        if nodes == self._graph.nodes and len(self.values) == len(self._graph.values):
            return self._graph
        return replace(self._graph, values=tuple(self.values), nodes=nodes)

    def site(self, position: int) -> Site:
        """The node at a position, which must not have been dropped, with its values."""
        node = self.node(position)
        return Site(
            node.op,
            tuple(None if i is None else self.values[i] for i in node.inputs),
            tuple(self.values[i] for i in node.outputs),
            node.source,
        )

    def node(self, position: int) -> Node:
        """The node at a position, which must not have been dropped."""
        node = self.nodes[position]
        assert node is not None
        return node

    @property
    def positions(self) -> list[int]:
        """The positions of all nodes that are left, in order."""
        return [position for position, node in enumerate(self.nodes) if node is not None]

    def readers(self, value: int) -> list[int]:
        """Positions of the nodes that read a value."""
        return [position for position in self.positions if value in self.node(position).inputs]

    def writer(self, value: int) -> int | None:
        """Position of the node that writes a value."""
        return next((position for position in self.positions if value in self.node(position).outputs), None)

    def only_reader(self, value: int) -> int | None:
        """The one node that reads a value, where there is one and the caller does not read it too."""
        readers = self.readers(value)
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def may_be_read_later(self, value: int) -> bool:
        """Whether a value holds the same contents at every later node; a state may be written in between."""
        return self.values[value].role is not Role.STATE

    def add(self, value: Value) -> int:
        """A new value; its index."""
        self.values.append(value)
        return len(self.values) - 1

    def read_instead(self, old: int, new: int) -> None:
        """Let every node that reads `old` read `new`."""
        for position in self.readers(old):
            node = self.node(position)
            self.nodes[position] = replace(node, inputs=tuple(new if i == old else i for i in node.inputs))

    def drop_copy(self, position: int) -> bool:
        """Drop a node whose output is its first input, byte for byte and by type, where the interface allows it."""
        node = self.node(position)
        source, (copy,) = node.inputs[0], node.outputs
        if source is None or self.values[source].type != self.values[copy].type or not self.may_be_read_later(source):
            return False
        if copy not in self.outputs:
            self.nodes[position] = None
            self.read_instead(copy, source)
            return True
        writer = self.writer(source)
        if writer is None or source in self.outputs:
            return False
        made = self.node(writer)
        self.nodes[writer] = replace(made, outputs=tuple(copy if i == source else i for i in made.outputs))
        self.nodes[position] = None
        self.read_instead(source, copy)
        return True
