"""Limits that stand in the generators and in the runtime's C are the same numbers."""

from __future__ import annotations

import re
from functools import cache

import pytest

from thimble.codegen.armv7em import (
    columns_layer,
    conv_2d_depthwise,
    depthwise_direct_form,
    depthwise_fill,
    depthwise_layer,
    depthwise_steps,
    pointwise,
)
from thimble.codegen.armv81m import convolution, row_convolution
from thimble.runtime_c import FAMILY_DIRS

LIMITS = {
    "THIMBLE_MAX_COLUMNS": columns_layer.MAX_COLUMNS,
    "THIMBLE_MAX_TAILS": columns_layer.MAX_SINGLE_COLUMNS,
    "THIMBLE_MAX_KERNEL_HEIGHT": columns_layer.MAX_KERNEL_HEIGHT,
    "THIMBLE_MAX_FUSED_ROWS": conv_2d_depthwise.MAX_ROWS,
    "THIMBLE_MAX_DIRECT_ROWS": depthwise_direct_form.MAX_ROWS,
    "THIMBLE_PLANE_LANES": depthwise_fill.LANES,
    "THIMBLE_MAX_OUTPUT_ROWS": depthwise_layer.MAX_ROWS,
    "THIMBLE_MAX_PLANE_ROWS": depthwise_layer.MAX_PLANE_ROWS,
    "THIMBLE_MAX_STEPS": depthwise_steps.MAX_STEPS,
    "THIMBLE_MIN_PIXELS": pointwise.MIN_PIXELS,
    "THIMBLE_MAX_WIDE_ROWS": pointwise.MAX_ROWS,
    "THIMBLE_MAX_POINTWISE_ROWS": pointwise.MAX_ROWS,
    "THIMBLE_MAX_SEGMENTS": convolution.MAX_SEGMENTS,
    "THIMBLE_MAX_WINDOW_ROWS": convolution.MAX_WINDOW_ROWS,
    "THIMBLE_MAX_PADDED_ROWS": row_convolution.MAX_KERNEL_HEIGHT,
}


@cache
def defined() -> dict[str, int]:
    """The numbers that the runtime's headers define."""
    text = "\n".join(path.read_text() for path in (header for folder in FAMILY_DIRS for header in folder.glob("*.h")))
    return {name: int(value) for name, value in re.findall(r"^#define (THIMBLE_\w+) (\d+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", LIMITS)
def test_generator_and_runtime_agree(name: str) -> None:
    assert defined()[name] == LIMITS[name]
