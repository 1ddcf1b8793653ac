"""What pools, reductions, resizes and conversions refuse, and hostile sizes that must cost neither time nor memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UnsupportedOp
from thimble.compiler.ops.executor import Executor

HUGE = 2**31 - 1


def pool(code: str = "AVERAGE_POOL_2D", scales: tuple[float, float] = (0.5, 0.5), **changed: int) -> ModelBuilder:
    """A pool of (1, 4, 4, 2) to itself, with some of its options changed."""
    options = {"filterHeight": 2, "filterWidth": 2, "strideH": 1, "strideW": 1, "padding": 0, **changed}
    m = ModelBuilder()
    x, y = (m.tensor((1, 4, 4, 2), np.int8, scale, 3) for scale in scales)
    m.op(code, [x], [y], "Pool2DOptions", **options)
    m.interface([x], [y])
    return m


def reduction(code: str, axes: list[int], dtype: Any = np.int8, output_scale: float = 0.5) -> ModelBuilder:
    """A reduction of (2, 3) to (1, 3)."""
    m = ModelBuilder()
    x, y = m.tensor((2, 3), dtype, 0.5, 0), m.tensor((1, 3), dtype, output_scale, 0)
    m.op(code, [x, m.const(axes)], [y], "ReducerOptions", keepDims=True)
    m.interface([x], [y])
    return m


def arg_max(axes: list[int], dtype: Any = np.int32) -> ModelBuilder:
    """ARG_MAX of (2, 3) to (3,)."""
    m = ModelBuilder()
    x, y = m.tensor((2, 3), np.int8, 0.5, 0), m.tensor((3,), dtype)
    m.op("ARG_MAX", [x, m.const(axes)], [y], "ArgMaxOptions", outputType=2)
    m.interface([x], [y])
    return m


def resize(side: int, size: list[int], align_corners: bool = False, half_pixel_centers: bool = False) -> ModelBuilder:
    """RESIZE_BILINEAR of (1, 1, 1, 1) to a square."""
    m = ModelBuilder()
    x, y = m.tensor((1, 1, 1, 1), np.int8, 0.5, 0), m.tensor((1, side, side, 1), np.int8, 0.5, 0)
    m.op(
        "RESIZE_BILINEAR", [x, m.const(size)], [y], "ResizeBilinearOptions",
        alignCorners=align_corners, halfPixelCenters=half_pixel_centers,
    )  # fmt: skip
    m.interface([x], [y])
    return m


def conversion(code: str, given: Any, made: Any, scales: tuple[Any, Any], zero_point: int = 0) -> ModelBuilder:
    """A conversion of three elements."""
    m = ModelBuilder()
    x, y = m.tensor((3,), given, scales[0]), m.tensor((3,), made, scales[1], zero_point)
    m.op(code, [x], [y])
    m.interface([x], [y])
    return m


REFUSED = [
    ("kernel 0", pool(filterHeight=0), MalformedModel, "below 1"),
    ("negative kernel", pool(filterWidth=-HUGE), MalformedModel, "below 1"),
    ("stride 0", pool(strideH=0), MalformedModel, "below 1"),
    ("endless kernel", pool(filterHeight=HUGE), MalformedModel, "window"),
    ("padding code", pool(padding=7), MalformedModel, "padding code 7"),
    ("other scale", pool(scales=(0.5, 0.51)), UnsupportedOp, "same zero point"),
    ("bounds overflow", pool(scales=(1e-40, 1e-40), fusedActivationFunction=3), UnsupportedOp, "32 bits"),
    ("axis beyond", reduction("MEAN", [2]), MalformedModel, "names axis 2"),
    ("axis before", reduction("SUM", [-HUGE]), MalformedModel, "names axis"),
    ("other axis", reduction("MEAN", [1]), MalformedModel, "output tensor"),
    ("int32 sum", reduction("SUM", [0], np.int32), UnsupportedOp, "int8, int4, int2 or int16"),
    ("int16 maximum", reduction("REDUCE_MAX", [0], np.int16), UnsupportedOp, "int8"),
    ("maximum rescaled", reduction("REDUCE_MAX", [0], np.int8, 0.25), UnsupportedOp, "same scale"),
    ("two axes", arg_max([0, 1]), MalformedModel, "one axis"),
    ("int64 index", arg_max([0], np.int64), UnsupportedOp, "int32"),
    ("size 0", resize(1, [0, 1]), MalformedModel, "resizes to 0"),
    ("three sizes", resize(1, [1, 1, 1]), MalformedModel, "height and width"),
    ("size beyond", resize(1, [HUGE, HUGE]), MalformedModel, "output tensor"),
    ("centers and corners", resize(2, [2, 2], True, True), UnsupportedOp, "exclude"),
    ("steps run over", resize(70, [70, 70]), UnsupportedOp, "run past"),
    ("types", conversion("QUANTIZE", np.uint8, np.int16, (0.5, 0.5)), UnsupportedOp, "Types must be"),
    ("zero point", conversion("QUANTIZE", np.int8, np.int8, (0.5, 0.5), 500), ThimbleError, "zero point"),
    ("per axis", conversion("QUANTIZE", np.float32, np.int8, (None, [0.5, 0.5, 0.5])), UnsupportedOp, "one positive"),
    ("scale ratio", conversion("QUANTIZE", np.int8, np.int8, (1e20, 1e-20)), UnsupportedOp, "2**30"),
    ("uint8 cast", conversion("CAST", np.uint8, np.int8, (None, None)), UnsupportedOp, "Input 0 must be"),
]


@pytest.mark.parametrize(("model", "error", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refuses_with_a_sentence(model: ModelBuilder, error: type[ThimbleError], words: str) -> None:
    with pytest.raises(error) as caught:
        import_tflite(model.build(), "hostile")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_a_window_of_a_billion_costs_nothing(code: str) -> None:
    graph = import_tflite(pool(code, filterHeight=2**30, filterWidth=2**30).build(), "wide")
    x = np.arange(32, dtype=np.int8).reshape(1, 4, 4, 2)
    (y,) = Executor(graph).invoke([x])
    expected = x.max(axis=(1, 2)) if code == "MAX_POOL_2D" else x.mean(axis=(1, 2))
    assert (y == expected[:, None, None, :]).all()
