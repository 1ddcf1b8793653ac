"""A graph whose patch stage is written out: each patch's branch with tensors of its own, joined behind the stage.

A patch that is classed by its values has two branches, a flag that says whether its part of the split feature map has
outliers, and a SELECT_V2 that takes the first branch's result where it has, else the second's. Each is computed only
where it is taken (compiler/plan/guards.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, verify
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.slice import Slice
from thimble.compiler.ops.window import ExplicitPadding
from thimble.quantize.patches import Area, PatchStage, needed_areas, read_area


@dataclass(frozen=True, slots=True)
class Patched:
    """A graph that computes the same bytes; `branches` holds, for each patch, its part of each value of the stage.

    `others` holds the same for the second branch, which patches without outliers take, of those that have one.
    """

    graph: Graph
    branches: tuple[Mapping[int, int], ...]
    others: Mapping[int, Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Classing:
    """Which patches are classed by their values, by number: those with stored values of the split feature map outside
    of [low, high] have outliers. With each, the values of the stage that its second branch holds apart from the first:
    they are to be changed."""

    low: int
    high: int
    apart: Mapping[int, Collection[int]]


def patched(graph: Graph, stage: PatchStage, classing: Classing | None = None) -> Patched:
    """Write a stage out: patches cut from the split value, halos included, one branch after the other, then joined."""
    return _Writer(graph, stage, classing or Classing(*DType.INT8.range, {})).run()


@dataclass
class _Writer:
    """`values` and `nodes` are those of the new graph; values of the old one keep their indices."""

    graph: Graph
    stage: PatchStage
    classing: Classing
    others: dict[int, dict[int, int]] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def run(self) -> Patched:
        """The graph with all branches."""
        first, last = self.stage.nodes[0], self.stage.nodes[-1]
        self.values, self.nodes = list(self.graph.values), list(self.graph.nodes[:first])
        branches, ends = [], []
        for number, area in enumerate(self.stage.areas):
            cut = self._cut_patch(area)
            flag = self._flag(cut) if number in self.classing.apart else None
            branches.append(self._branch(area, cut))
            ends.append(branches[-1][self.stage.merge])
            if flag is not None:
                if self.stage.split in self.classing.apart[number]:
                    cut = self._copied(cut)
                other = self.others[number] = self._branch(area, cut)
                ends[-1] = self._chosen(flag, ends[-1], other[self.stage.merge])
        self._join(ends)
        self.nodes += self.graph.nodes[last + 1 :]
        result = replace(self.graph, values=tuple(self.values), nodes=tuple(self.nodes))
        verify(result)
        return Patched(result, tuple(branches), self.others)

    def _cut_patch(self, area: Area) -> int:
        """What a patch needs of the split value."""
        split = self.stage.split
        return self._cut(split, self._whole(split), needed_areas(self.graph, self.stage, area)[split])

    def _flag(self, cut: int) -> int:
        """Whether a patch has outliers."""
        name = f"{self.values[cut].name} has outliers"
        flag = self._new(Value(name, TensorType((1, 1, 1, 1), DType.BOOL)))
        op = HasOutliers(self.classing.low, self.classing.high)
        self.nodes.append(Node(op, (cut,), (flag,), f"class of {self.values[cut].name!r}"))
        return flag

    def _copied(self, index: int) -> int:
        """A value of its own with the same contents."""
        made = self._new(replace(self.values[index], tensor=None, role=Role.ACTIVATION))
        self.nodes.append(Node(Quantize(), (index,), (made,), f"second form of {self.values[index].name!r}"))
        return made

    def _chosen(self, flag: int, outlying: int, plain: int) -> int:
        """The result of one branch or the other."""
        made = self._new(self.values[outlying])
        source = f"branch of {self.values[outlying].name!r}"
        self.nodes.append(Node(Select(), (flag, outlying, plain), (made,), source))
        return made

    def _branch(self, area: Area, cut: int) -> dict[int, int]:
        """Add the nodes of one patch behind its part of the split value; its part of each value."""
        areas = needed_areas(self.graph, self.stage, area)
        parts = {self.stage.split: cut}
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
        return self._new(Value(name, replace(value.type, shape=shape), Role.ACTIVATION))

    def _new(self, value: Value) -> int:
        self.values.append(value)
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
