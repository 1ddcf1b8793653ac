"""Random networks that give the passes something to do: frames, clamps, tables, transposes, constant channels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.e2e.graph_draw import Choices, NotPossible
from tests.passes.network import Network
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad, PadV2
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Mean, ReduceMax, Sum
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.resize import ResizeNearestNeighbor
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.window import Padding

MAX_ELEMENTS = 1500


class Drawing:
    """A network being drawn: the values that further nodes may take, newest last."""

    def __init__(self, choices: Choices) -> None:
        self.c, self.n = choices, Network()
        self.values: list[int] = []
        self.states: list[int] = []

    def take(self, *ranks: int) -> int:
        """A value of one of these ranks (any, where there are none), the newest being the simplest."""
        fitting = [v for v in reversed(self.values) if not ranks or len(self.n.shape(v)) in ranks]
        if not fitting:
            raise NotPossible
        return self.c.pick([*fitting[:1] * 4, *fitting[:4]])

    def quant(self) -> dict[str, float | int]:
        """Scale and zero point of an output, often the lowest."""
        return {"scale": self.c.real(0.02, 2.0), "zero": self.c.pick([-128, -128, 0, self.c.integer(-128, 127)])}

    def bias(self, count: int) -> list[int] | None:
        """Small ones and, now and then, some that leave a channel no choice."""
        if self.c.flag(6):
            return None
        far = 1 << 22
        return [self.c.pick([0, self.c.integer(-3000, 3000), -far, far]) for _ in range(count)]

    def weights(self, *shape: int) -> np.ndarray:
        """Weights of which whole slices along the first and last axis may be 0."""
        data = self.c.data(shape, low=-127).copy()
        if self.c.flag(3):
            data[..., self.c.integer(0, shape[-1] - 1)] = 0
        if self.c.flag(3):
            data[self.c.integer(0, shape[0] - 1)] = 0
        return data

    def weight_scale(self, count: int) -> float | list[float]:
        """One scale, or one for each output channel."""
        return self.c.real(0.002, 0.1) if self.c.flag() else [self.c.real(0.002, 0.1) for _ in range(count)]


def convolution(d: Drawing) -> int:
    x, c = d.take(4), d.c
    height, width, channels = d.n.shape(x)[1:]
    outputs, size = c.integer(1, 6), (c.integer(1, min(3, height)), c.integer(1, min(3, width)))
    options = {
        "activation": c.pick([Activation.RELU, Activation.NONE, Activation.RELU6]),
        "stride": c.pick([1, 1, 2]),
        "padding": c.pick(list(Padding)),
    }
    if c.flag(3):
        outputs = channels * c.pick([1, 1, 2])
        w, options["depthwise"] = d.weights(1, *size, outputs), True
    else:
        w = d.weights(outputs, *size, channels)
    return d.n.conv(x, w, d.bias(outputs), weight_scale=d.weight_scale(outputs), **options, **d.quant())  # type: ignore[arg-type]


def connected(d: Drawing) -> int:
    x, outputs = d.take(2, 4), d.c.integer(1, 6)
    depth = int(np.prod(d.n.shape(x)[1:]))
    act = d.c.pick([Activation.NONE, Activation.RELU])
    w = d.weights(outputs, depth)
    return d.n.connected(x, w, None, activation=act, weight_scale=d.c.real(0.002, 0.1), **d.quant())  # type: ignore[arg-type]


def pool(d: Drawing) -> int:
    x, c = d.take(4), d.c
    _, height, width, _ = d.n.shape(x)
    window = (c.integer(1, min(3, height)), c.integer(1, min(3, width)), c.pick([1, 2]), c.pick([1, 2]))
    kind = c.pick([MaxPool2D, AveragePool2D])
    return d.n.node(kind(*window, c.pick(list(Padding)), c.pick([Activation.NONE, Activation.RELU])), x)


def frame(d: Drawing) -> int:
    x, c = d.take(4), d.c
    paddings = ((0, 0), *((c.integer(0, 2), c.integer(0, 2)) for _ in range(2)), (0, 1 if c.flag(8) else 0))
    zero = d.n.values[x].quant.zero_point
    return d.n.node(PadV2(paddings, c.pick([zero, -128, 0])) if c.flag(3) else Pad(paddings), x)


def table(d: Drawing) -> int:
    x, c = d.take(), d.c
    op = c.pick([Relu(), Relu6(), Quantize(), Quantize(), Logistic(), Tanh()])
    if isinstance(op, Relu | Relu6) or c.flag(3):
        return d.n.node(op if isinstance(op, Relu | Relu6) else Quantize(), x)
    if isinstance(op, Logistic | Tanh):
        return d.n.node(op, x, **({"scale": 1 / 256, "zero": -128} if isinstance(op, Logistic) else {"scale": 1 / 128}))
    return d.n.node(op, x, **d.quant())  # type: ignore[arg-type]


def with_constant(d: Drawing) -> int:
    x, c = d.take(), d.c
    channels = d.n.shape(x)[-1:] or (1,)
    other = d.n.constant(c.data(c.pick([(1,), channels])), c.real(0.02, 0.5), c.integer(-20, 20))
    op = c.pick([Minimum(), Maximum(), Mul(c.pick(list(Activation))), Add(Activation.NONE), Sub(Activation.RELU)])
    operands = (x, other) if c.flag() else (other, x)
    quant = {} if isinstance(op, Minimum | Maximum) and operands[0] == x else d.quant()
    return d.n.node(op, *operands, **quant)  # type: ignore[arg-type]


def sum_of_two(d: Drawing) -> int:
    x = d.take()
    same = [v for v in reversed(d.values) if d.n.shape(v) == d.n.shape(x)]
    op = d.c.pick([Add(d.c.pick([Activation.NONE, Activation.RELU])), Mul(Activation.NONE), Maximum()])
    return d.n.node(op, x, d.c.pick(same), **d.quant())  # type: ignore[arg-type]


def concatenation(d: Drawing) -> int:
    x, c = d.take(2, 4), d.c
    axis = c.integer(1, len(d.n.shape(x)) - 1)

    def fits(v: int) -> bool:
        a, b = list(d.n.shape(v)), list(d.n.shape(x))
        return len(a) == len(b) and a[:axis] + a[axis + 1 :] == b[:axis] + b[axis + 1 :]

    parts = [x, *(c.pick([v for v in reversed(d.values) if fits(v)]) for _ in range(c.integer(1, 2)))]
    quant = d.n.values[x].quant
    fitted = [
        p if d.n.values[p].quant == quant else d.n.node(Quantize(), p, scale=quant.scale, zero=quant.zero_point)
        for p in parts
    ]
    return d.n.node(Concatenation(axis), *fitted)


def reshape(d: Drawing) -> int:
    x = d.take()
    shape = d.n.shape(x)
    if d.c.flag(3):
        return d.n.node(Squeeze(()) if 1 in shape and len(shape) > 2 else ExpandDims(0), x)
    shapes = [(1, -1), shape, (*shape[:-2], int(np.prod(shape[-2:])))]
    if len(shape) == 2 and shape[-1] % 2 == 0:
        shapes.append((shape[0], 1, 2, shape[-1] // 2))
    return d.n.node(Reshape(d.c.pick(shapes)), x)


def transpose(d: Drawing) -> int:
    x = d.take(2, 3, 4)
    rank = len(d.n.shape(x))
    moved = tuple((axis + 1) % rank for axis in range(rank))
    back = tuple((axis - 1) % rank for axis in range(rank))
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    return d.n.node(Transpose(d.c.pick([swapped, moved, back])), x)


def reduction(d: Drawing) -> int:
    x, c = d.take(3, 4), d.c
    rank = len(d.n.shape(x))
    axes = c.pick([(1, 2), (rank - 1,), (1,), (2,), (-2, -1)])
    kind = c.pick([Mean, Sum, ReduceMax])
    return d.n.node(kind(axes, c.flag()), x, **({} if kind is ReduceMax else d.quant()))  # type: ignore[arg-type]


def resize(d: Drawing) -> int:
    x = d.take(4)
    return d.n.node(ResizeNearestNeighbor(d.c.integer(1, 6), d.c.integer(1, 6), False, False), x)


def of_constants(d: Drawing) -> int:
    c = d.n.constant(d.c.data((1, 2, 3, 2)), 0.1, d.c.integer(-128, 127))
    return d.n.node(Transpose((0, 2, 1, 3)), d.n.node(Relu6(), c))


def state(d: Drawing) -> int:
    """A value meets what it was an inference ago, as streaming networks do it."""
    x = d.take(2, 4)
    quant = d.n.values[x].quant
    variable = d.n.state(d.n.shape(x), quant.scale, quant.zero_point)
    before = d.n.read(variable)
    after = x if d.c.flag() else d.n.node(Add(Activation.NONE), before, x)
    if d.c.flag():
        d.n.assign(variable, after)
        d.values.append(before)
        return d.n.node(Maximum(), before, x)
    joined = d.n.node(Concatenation(1), before, x)
    d.n.assign(variable, after)
    return joined


def framed_convolution(d: Drawing) -> int:
    d.values.append(frame(d))
    return convolution(d)


def clamped(d: Drawing) -> int:
    """A clamp behind what may take it over."""
    x = d.c.pick([convolution, connected, sum_of_two, pool])(d)
    return d.n.node(d.c.pick([Relu(), Relu6()]), x)


def flattened(d: Drawing) -> int:
    """A reshape to one row, and what takes one."""
    d.values.append(d.n.node(Reshape((1, -1)), d.take(4)))
    return connected(d)


def transposed(d: Drawing) -> int:
    """A transpose, something behind it, and often a transpose again."""
    d.values.append(transpose(d))
    return d.c.pick([reduction, transpose, table])(d)


STEPS: tuple[Callable[[Drawing], int], ...] = (
    convolution,
    connected,
    convolution,
    table,
    frame,
    convolution,
    sum_of_two,
    pool,
    with_constant,
    concatenation,
    reshape,
    transpose,
    reduction,
    state,
    resize,
    of_constants,
    framed_convolution,
    clamped,
    transposed,
    flattened,
)


def draw_network(c: Choices) -> Graph:
    """A sound network of up to 14 steps; every value may be an output too."""
    d = Drawing(c)
    for _ in range(c.pick([1, 1, 2])):
        shape = (1, c.integer(1, 6), c.integer(1, 6), c.integer(1, 5))
        d.values.append(d.n.input(shape, c.real(0.02, 0.5), c.pick([-128, 0, 5])))
    for _ in range(c.integer(2, 14)):
        before = len(d.n.values), len(d.n.nodes)
        try:
            made = c.pick(STEPS)(d)
            sound = 0 < d.n.type(made).elements <= MAX_ELEMENTS and len(d.n.shape(made)) <= 4
            sound = sound and _takes_all(d.n, before[1])
        except NotPossible:
            sound = False
        if not sound:
            del d.n.values[before[0] :], d.n.nodes[before[1] :]
            d.values = [v for v in d.values if v < before[0]]
            continue
        d.values.append(made)
    made = [v for v in d.values if v not in d.n.inputs] or [d.n.node(Relu(), d.values[0])]
    outputs = [made[-1], *(c.pick(made[::-1]) for _ in range(c.pick([0, 0, 1, 2])))]
    return d.n.graph(*dict.fromkeys(outputs))


def _takes_all(n: Network, first: int) -> bool:
    """Whether the operators of the nodes from `first` on take their values."""
    sites = Graph("g", tuple(n.values), tuple(n.nodes), (), ()).sites[first:]
    return all(constraint(site) for site in sites for constraint in site.op.constraints)
