"""A graph whose patch stage is written out: each patch's branch with tensors of its own, joined behind the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, verify
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.slice import Slice
from thimble.compiler.ops.window import ExplicitPadding
from thimble.quantize.patches import Area, PatchStage, needed_areas, read_area


@dataclass(frozen=True, slots=True)
class Patched:
    """A graph that computes the same bytes; `branches` holds, for each patch, its part of each value of the stage."""

    graph: Graph
    branches: tuple[Mapping[int, int], ...]


def patched(graph: Graph, stage: PatchStage) -> Patched:
    """Write a stage out: patches cut from the split value, halos included, one branch after the other, then joined."""
    return _Writer(graph, stage).run()


@dataclass
class _Writer:
    """`values` and `nodes` are those of the new graph; values of the old one keep their indices."""

    graph: Graph
    stage: PatchStage
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def run(self) -> Patched:
        """The graph with all branches."""
        first, last = self.stage.nodes[0], self.stage.nodes[-1]
        self.values, self.nodes = list(self.graph.values), list(self.graph.nodes[:first])
        branches = [self._branch(area) for area in self.stage.areas]
        self._join([branch[self.stage.merge] for branch in branches])
        self.nodes += self.graph.nodes[last + 1 :]
        result = replace(self.graph, values=tuple(self.values), nodes=tuple(self.nodes))
        verify(result)
        return Patched(result, tuple(branches))

    def _branch(self, area: Area) -> dict[int, int]:
        """Add the nodes of one patch; its part of each value."""
        areas = needed_areas(self.graph, self.stage, area)
        whole = self._whole(self.stage.split)
        parts = {self.stage.split: self._cut(self.stage.split, whole, areas[self.stage.split])}
        for position in self.stage.nodes:
            node, site = self.graph.nodes[position], self.graph.sites[position]
            (made,) = node.outputs
            if made not in areas:
                continue
            read = read_area(site, areas[made])
            inputs = [
                i if i not in parts else self._cut(parts[i], areas[i], read) for i in node.inputs if i is not None
            ]
            parts[made] = self._add(made, areas[made])
            op = _windowed(site, areas[made])
            self.nodes.append(replace(node, op=op, inputs=tuple(inputs), outputs=(parts[made],)))
        return parts

    def _whole(self, index: int) -> Area:
        _, height, width, _ = self.graph.values[index].type.shape
        return (0, height), (0, width)

    def _cut(self, index: int, have: Area, want: Area) -> int:
        """The value of an area within that of another value."""
        if have == want:
            return index
        made = self._add(index, want)
        begin = (0, want[0][0] - have[0][0], want[1][0] - have[1][0], 0)
        op = Slice(begin, self.values[made].type.shape)
        self.nodes.append(Node(op, (index,), (made,), f"patch of {self.values[index].name!r}"))
        return made

    def _add(self, like: int, area: Area) -> int:
        """A new value with the type of another one, for some area."""
        (top, bottom), (left, right) = area
        value = self.values[like]
        shape = (1, bottom - top, right - left, value.type.shape[3])
        name = f"{value.name}/{top}:{bottom},{left}:{right}"
        self.values.append(Value(name, replace(value.type, shape=shape), Role.ACTIVATION))
        return len(self.values) - 1

    def _join(self, parts: Sequence[int]) -> None:
        """Put the patches of the merged value together: those side by side first."""
        columns = len({area[1] for area in self.stage.areas})
        strips = []
        for start in range(0, len(parts), columns):
            areas = self.stage.areas[start : start + columns]
            strip = (areas[0][0], (areas[0][1][0], areas[-1][1][1]))
            strips.append(self._joined(parts[start : start + columns], 2, self._add(self.stage.merge, strip)))
        self._joined(strips, 1, self.stage.merge)

    def _joined(self, parts: Sequence[int], axis: int, made: int) -> int:
        op = Concatenation(axis)
        self.nodes.append(Node(op, tuple(parts), (made,), f"patches of {self.values[self.stage.merge].name!r}"))
        return made


def _windowed(site: Site, made: Area) -> Operator:
    """A node's operator with the padding that some area of its output has."""
    op = site.op
    if not isinstance(op, WindowConvolution | Pool2D):
        return op
    rows, columns = op.axes(site)
    return replace(op, padding=ExplicitPadding(rows.margins(made[0]), columns.margins(made[1])))
