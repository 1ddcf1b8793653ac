"""Float networks for tests of quantization, built straight in the IR."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant, verify
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pad import Pad
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.sigmoid import Logistic
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.window import Padding
from thimble.quantize.calibration import Calibration


class FloatNetwork:
    """A float graph under construction; every method gives the index of the value that it makes."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.inputs: list[int] = []

    def input(self, *shape: int) -> int:
        """An input of the graph."""
        self.values.append(Value(f"x{len(self.inputs)}", TensorType(shape, DType.FLOAT32), Role.INPUT))
        self.inputs.append(len(self.values) - 1)
        return self.inputs[-1]

    def constant(self, data: Array) -> int:
        """A float constant."""
        data = np.asarray(data, np.float32)
        self.values.append(constant(f"c{len(self.values)}", data, TensorType(data.shape, DType.FLOAT32)))
        return len(self.values) - 1

    def op(self, op: Operator, *inputs: int) -> int:
        """A node of one output, whose shape follows from its inputs."""
        source = f"operator {len(self.nodes)} ({op.name.upper()})"
        shape = op.shapes(Site(op, tuple(self.values[i] for i in inputs), (), source))[0]
        self.values.append(Value(f"v{len(self.values)}", TensorType(shape, DType.FLOAT32)))
        self.nodes.append(Node(op, inputs, (len(self.values) - 1,), source))
        return len(self.values) - 1

    def weights(self, *shape: int, fan_in: int) -> int:
        """Random weights that keep the size of what they multiply."""
        return self.constant(self.rng.normal(size=shape) * np.sqrt(2 / fan_in))

    def bias(self, channels: int) -> int:
        """A small random bias."""
        return self.constant(self.rng.normal(size=channels) * 0.1)

    def conv(self, x: int, channels: int, kernel: int = 3, activation: Activation = Activation.RELU) -> int:
        """A convolution of stride 1."""
        depth = self.values[x].type.shape[3]
        weights = self.weights(channels, kernel, kernel, depth, fan_in=kernel * kernel * depth)
        return self.op(Conv2D(activation, 1, 1, 1, 1, Padding.SAME), x, weights, self.bias(channels))

    def depthwise(self, x: int, stride: int = 1, activation: Activation = Activation.RELU6) -> int:
        """A depthwise convolution of 3 x 3."""
        depth = self.values[x].type.shape[3]
        weights = self.weights(1, 3, 3, depth, fan_in=9)
        return self.op(DepthwiseConv2D(activation, stride, stride, 1, 1, Padding.SAME, 1), x, weights, self.bias(depth))

    def dense(self, x: int, channels: int) -> int:
        """A matrix product without activation."""
        depth = self.values[x].type.shape[-1]
        weights = self.weights(channels, depth, fan_in=depth)
        return self.op(FullyConnected(Activation.NONE, False), x, weights, self.bias(channels))

    def graph(self, *outputs: int) -> Graph:
        """The graph, verified."""
        graph = Graph("float", tuple(self.values), tuple(self.nodes), tuple(self.inputs), outputs)
        verify(graph)
        return graph


def small_classifier(seed: int = 0) -> Graph:
    """Convolutions, a residual sum, both pools, a classifier and a softmax; input (1, 8, 8, 3)."""
    net = FloatNetwork(seed)
    x = net.conv(net.input(1, 8, 8, 3), 8)
    y = net.conv(net.depthwise(x), 8, 1, Activation.NONE)
    x = net.op(Add(Activation.RELU), x, y)
    x = net.op(MaxPool2D(2, 2, 2, 2, Padding.VALID, Activation.NONE), x)
    x = net.op(AveragePool2D(4, 4, 4, 4, Padding.VALID, Activation.NONE), net.conv(x, 16))
    return net.graph(net.op(Softmax(1.0), net.dense(net.op(Reshape((1, 16)), x), 5)))


def many_operators(seed: int = 0) -> Graph:
    """A gate, a concatenation that a logistic feeds, padding, and two outputs; input (1, 6, 6, 4)."""
    net = FloatNetwork(seed)
    image = net.input(1, 6, 6, 4)
    x = net.conv(net.op(Pad(((0, 0), (1, 1), (1, 1), (0, 0))), image), 6, activation=Activation.NONE)
    gate = net.op(Logistic(), net.conv(x, 6, 1, Activation.NONE))
    x = net.op(Concatenation(3), net.op(Mul(Activation.NONE), x, gate), gate, x)
    x = net.conv(net.op(Add(Activation.NONE), x, net.constant(net.rng.normal(size=18))), 4, 1, Activation.NONE)
    return net.graph(x, gate)


def samples(graph: Graph, count: int = 48, seed: int = 1) -> Calibration:
    """Random calibration samples of a graph's inputs."""
    rng = np.random.default_rng(seed)
    shapes = [graph.values[i].type.shape for i in graph.inputs]
    return Calibration(tuple(rng.normal(size=(count, *shape)).astype(np.float32) for shape in shapes))
