"""When an input position along an axis is read for the last time, against the windows laid out one by one."""

from __future__ import annotations

from time import process_time

import numpy as np

from thimble.compiler.ops.window import Axis
from thimble.compiler.plan.access import _last_along


def laid_out(axis: Axis) -> np.ndarray:
    """Every tap of every window."""
    last = np.full(axis.input, -1)
    for output in range(axis.output):
        for tap in range(axis.kernel):
            position = output * axis.stride - axis.pad + tap * axis.dilation
            if 0 <= position < axis.input:
                last[position] = max(last[position], output)
    return last


def test_equals_all_windows_laid_out() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        size, kernel, stride, dilation = (int(n) for n in rng.integers(1, (20, 12, 8, 9)))
        reach = (kernel - 1) * dilation + 1
        outputs = -(-size // stride)
        pad = max((outputs - 1) * stride + reach - size, 0) // 2
        if rng.random() < 0.5 and size >= reach:
            outputs, pad = (size - reach) // stride + 1, 0
        axis = Axis(size, kernel, stride, dilation, outputs, pad)
        assert (_last_along(axis) == laid_out(axis)).all(), axis


def test_windows_as_large_as_the_input_cost_no_time() -> None:
    start = process_time()
    assert _last_along(Axis(1 << 20, 1 << 20, 1, 1, 1 << 20, 1 << 19))[0] == 1 << 19
    assert _last_along(Axis(1 << 20, 3, 1, 1 << 18, 1 << 19, 0))[-1] == (1 << 19) - 1
    assert process_time() - start < 2
