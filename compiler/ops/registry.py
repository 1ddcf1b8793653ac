"""Every operator that Thimble knows, in one list."""

from __future__ import annotations

from thimble.compiler.ir.operator import Operator
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.arg_min_max import ArgMax, ArgMin
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.comparison import Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.hard_swish import HardSwish
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.join import Concatenation, Pack
from thimble.compiler.ops.leaky_relu import LeakyRelu
from thimble.compiler.ops.minimum_maximum import Maximum, Minimum
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.pad import Pad, PadV2
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.compiler.ops.prelu import Prelu
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Mean, ReduceMax, Sum
from thimble.compiler.ops.relu import Relu, Relu6
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.resize import ResizeBilinear, ResizeNearestNeighbor
from thimble.compiler.ops.rsqrt import Rsqrt
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.slice import Slice, StridedSlice
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.space_to_batch_nd import BatchToSpaceND, SpaceToBatchND
from thimble.compiler.ops.space_to_depth import DepthToSpace, SpaceToDepth
from thimble.compiler.ops.split import Split, SplitV, Unpack
from thimble.compiler.ops.squared_difference import SquaredDifference
from thimble.compiler.ops.svdf import Svdf
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.transpose_conv import TransposeConv
from thimble.compiler.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from thimble.compiler.ops.variables import AssignVariable, ReadVariable

OPERATORS: tuple[type[Operator], ...] = (
    Abs,
    Add,
    Sub,
    ArgMax,
    ArgMin,
    BatchMatmul,
    Cast,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    NotEqual,
    Conv2D,
    DepthwiseConv2D,
    Dequantize,
    Elu,
    FullyConnected,
    Gather,
    HardSwish,
    HasOutliers,
    Concatenation,
    Pack,
    LeakyRelu,
    Maximum,
    Minimum,
    MirrorPad,
    Mul,
    Neg,
    Pad,
    PadV2,
    AveragePool2D,
    MaxPool2D,
    Prelu,
    Quantize,
    Mean,
    ReduceMax,
    Sum,
    Relu,
    Relu6,
    ExpandDims,
    Reshape,
    Squeeze,
    ResizeBilinear,
    ResizeNearestNeighbor,
    Rsqrt,
    Select,
    Logistic,
    Tanh,
    Slice,
    StridedSlice,
    Softmax,
    BatchToSpaceND,
    SpaceToBatchND,
    DepthToSpace,
    SpaceToDepth,
    Split,
    SplitV,
    Unpack,
    SquaredDifference,
    Svdf,
    Transpose,
    TransposeConv,
    UnidirectionalSequenceLstm,
    AssignVariable,
    ReadVariable,
)
