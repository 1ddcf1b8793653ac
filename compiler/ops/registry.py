"""Every operator that Thimble knows, in one list."""

from __future__ import annotations

from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.variables import AssignVariable, ReadVariable

OPERATORS: tuple[type[Operator], ...] = (
    Add,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    AveragePool2D,
    MaxPool2D,
    Reshape,
    Softmax,
    AssignVariable,
    ReadVariable,
)
