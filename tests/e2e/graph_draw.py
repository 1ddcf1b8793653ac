"""Random sound graphs of several operators, from nothing but a source of integers, so that any fuzzer can drive it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np

from tests.tflite_builder import ModelBuilder

MAX_ELEMENTS = 2000
T = TypeVar("T")


class NotPossible(Exception):
    """The graph so far has no value that this operator takes."""


class Choices:
    """Decisions made from integers; smaller integers make simpler graphs, which is how they shrink."""

    def __init__(self, integer: Callable[[int, int], int]) -> None:
        self.integer = integer

    @classmethod
    def of(cls, rng: np.random.Generator) -> Choices:
        """Decisions of a numpy generator."""
        return cls(lambda low, high: int(rng.integers(low, high + 1)))

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`, which should begin with the simplest."""
        return items[self.integer(0, len(items) - 1)]

    def flag(self, one_in: int = 2) -> bool:
        """True once in so many times."""
        return self.integer(0, one_in - 1) == one_in - 1

    def real(self, low: float, high: float) -> float:
        """Log-uniform, exact in float32."""
        return float(np.float32(low * (high / low) ** (self.integer(0, 999) / 999)))

    def zero_point(self, dtype: Any) -> int:
        """Any of int8's, often an edge; 0 for other types."""
        if dtype is not np.int8:
            return 0
        return self.pick([0, -128, 127, self.integer(-128, 127)])

    def data(self, shape: Sequence[int], dtype: Any = np.int8, low: int | None = None) -> np.ndarray:
        """Random contents over the whole range of the type, or of [low, highest]."""
        rng = np.random.default_rng(self.integer(0, 255))
        info = np.iinfo(dtype)
        return rng.integers(info.min if low is None else low, info.max, shape, dtype, endpoint=True)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tensor of the graph being drawn; `dtype` is a numpy type, `quant` scale and zero point where there are some."""

    tensor: int
    shape: tuple[int, ...]
    dtype: Any
    quant: tuple[float, int] | None

    @property
    def scale(self) -> float:
        """The scale of a quantized tensor."""
        assert self.quant is not None
        return self.quant[0]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


class GraphDraw:
    """A graph under construction: the values that further operators may take, newest last."""

    def __init__(self, choices: Choices) -> None:
        self.c = choices
        self.m = ModelBuilder()
        self.values: list[Drawn] = []
        self.constants: list[Drawn] = []
        self.inputs: list[Drawn] = []
        self.variables = 0
        self.operators = 0

    def add_input(self) -> None:
        """A further input of the graph: usually an image, int8, sometimes of another rank or type."""
        c = self.c
        shape: tuple[int, ...] = (c.pick([1, 1, 1, 2]), c.integer(1, 10), c.integer(1, 10), c.integer(1, 8))
        shape = shape[c.pick([0, 0, 0, 3, 2, 1]) :]
        dtype = c.pick([np.int8, np.int8, np.int8, np.int8, np.int16, np.float32])
        value = self.float_value(shape) if dtype is np.float32 else self.value(shape, dtype)
        self.inputs.append(value)
        self.values.append(value)

    def value(
        self, shape: Sequence[int], dtype: Any = np.int8, scale: float | None = None, zero_point: int | None = None
    ) -> Drawn:
        """A new quantized tensor that nothing writes yet; draws the scale and zero point that are not given."""
        c = self.c
        if prod(shape) > MAX_ELEMENTS:
            raise NotPossible
        scale = float(np.float32(c.real(0.005, 0.5) / (1 if dtype is np.int8 else 256) if scale is None else scale))
        zero = c.zero_point(dtype) if zero_point is None else zero_point
        shape = tuple(int(d) for d in shape)
        return Drawn(self.m.tensor(shape, dtype, scale, zero), shape, dtype, (scale, zero))

    def like(self, x: Drawn, shape: Sequence[int]) -> Drawn:
        """A new tensor with the type and quantization of `x`."""
        if x.quant is not None:
            return self.value(shape, x.dtype, *x.quant)
        return self.plain(shape, x.dtype)

    def plain(self, shape: Sequence[int], dtype: Any) -> Drawn:
        """A new tensor without quantization."""
        if prod(shape) > MAX_ELEMENTS:
            raise NotPossible
        shape = tuple(int(d) for d in shape)
        return Drawn(self.m.tensor(shape, dtype), shape, dtype, None)

    def float_value(self, shape: Sequence[int]) -> Drawn:
        """A new float tensor."""
        return self.plain(shape, np.float32)

    def constant(self, shape: Sequence[int], dtype: Any, scale: float | None = None) -> Drawn:
        """A quantized constant with any contents."""
        c = self.c
        scale = c.real(0.005, 0.5) / (1 if dtype is np.int8 else 256) if scale is None else scale
        zero = c.zero_point(dtype)
        tensor = self.m.tensor(shape, dtype, scale, zero, data=c.data(shape, dtype))
        drawn = Drawn(tensor, tuple(shape), dtype, (scale, zero))
        self.constants.append(drawn)
        return drawn

    def take(
        self,
        where: Callable[[Drawn], bool] = lambda v: True,
        ranks: Sequence[int] = (1, 2, 3, 4, 5),
        dtypes: Sequence[Any] = (np.int8,),
    ) -> Drawn:
        """An existing value of these ranks and types, the newest being the simplest. Raises NotPossible."""
        fitting = [v for v in self.values if v.rank in ranks and v.dtype in dtypes and where(v)]
        if not fitting:
            raise NotPossible
        return self.c.pick(fitting[::-1])

    def op(
        self,
        code: str,
        inputs: Sequence[Drawn | int],
        outputs: Sequence[Drawn],
        options: str | None = None,
        **fields: Any,
    ) -> None:
        """Add an operator; its outputs become values that others may take."""
        indices = [i.tensor if isinstance(i, Drawn) else i for i in inputs]
        self.m.op(code, indices, [o.tensor for o in outputs], options, **fields)
        self.values += outputs
        self.operators += 1

    def handle(self) -> int:
        """A handle of a new resource variable."""
        from ai_edge_litert.schema_py_generated import TensorType

        tensor = self.m.tensor((), type_code=TensorType.RESOURCE)
        self.m.op("VAR_HANDLE", [], [tensor], "VarHandleOptions", container="", sharedName=f"v{self.variables}")
        self.variables += 1
        return tensor

    def finish(self) -> bytes:
        """Choose the outputs: the newest value, and often others, be they intermediate, inputs, constants or twice."""
        c = self.c
        outputs = [self.values[-1]]
        for _ in range(c.integer(0, 3)):
            outputs.append(c.pick(self.constants) if self.constants and c.flag(8) else c.pick(self.values[::-1]))
        self.m.interface([v.tensor for v in self.inputs], [v.tensor for v in outputs])
        return self.m.build()
