"""Rows for operators that keep state between inferences: SVDF and LSTM."""

from __future__ import annotations

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import scale, weights, zero_point
from tests.tflite_builder import ModelBuilder

TANH = 4  # schema.fbs, ActivationFunctionType
GATES = 4


def svdf(rng: np.random.Generator) -> bytes:
    """int8 state and time weights; the state may have any zero point."""
    return _svdf(rng, np.int8)


def svdf_int16(rng: np.random.Generator) -> bytes:
    """int16 state and time weights."""
    return _svdf(rng, np.int16)


def _svdf(rng: np.random.Generator, dtype: type) -> bytes:
    batch, size, memory = int(rng.integers(1, 4)), int(rng.integers(1, 24)), int(rng.integers(1, 11))
    rank, units = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    filters = rank * units
    highest = int(np.iinfo(dtype).max)
    m = ModelBuilder()
    x = m.tensor((batch, size), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (filters, size), axis=0, per_axis=False)
    spread = m.scale_of(x) * float(w_scales[0]) * 74 * 73 * np.sqrt(size)
    state_scale = float(np.float32(spread / highest * 10 ** rng.uniform(-0.3, 0.8)))
    state_zero = zero_point(rng) if dtype is np.int8 else 0
    time_scale = float(np.float32(10 ** rng.uniform(-3, -1) * 127 / highest))
    time = m.tensor(
        (filters, memory), dtype, time_scale, 0, data=rng.integers(-highest, highest + 1, (filters, memory))
    )
    bias_scale = float(np.float32(state_scale) * np.float32(time_scale))
    terms = highest * highest * np.sqrt(memory * rank)
    reach = int(min(terms / 20, 1 << 28))
    b = m.tensor((units,), np.int32, bias_scale, 0, data=rng.integers(-reach, reach + 1, units))
    state = m.tensor((batch, memory * filters), dtype, state_scale, state_zero, variable=True)
    y_scale = float(np.float32(bias_scale * terms * 0.2 / 127 * 10 ** rng.uniform(-0.3, 0.8)))
    y = m.tensor((batch, units), np.int8, y_scale, zero_point(rng))
    m.op(
        "SVDF", [x, w, time, b, state], [y], "SVDFOptions",
        rank=rank, fusedActivationFunction=int(rng.integers(0, 4)),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def lstm(rng: np.random.Generator) -> bytes:
    """int8 activations, batch major."""
    return _lstm(rng, np.int8, time_major=False)


def lstm_time_major(rng: np.random.Generator) -> bytes:
    """int8 activations, time major."""
    return _lstm(rng, np.int8, time_major=True)


def lstm_int16(rng: np.random.Generator) -> bytes:
    """int16 activations with int8 weights and int64 biases."""
    return _lstm(rng, np.int16, time_major=bool(rng.random() < 0.3))


def _lstm(rng: np.random.Generator, dtype: type, time_major: bool) -> bytes:
    batch, steps = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    size, cells = int(rng.integers(1, 20)), int(rng.integers(1, 16))
    leading = (steps, batch) if time_major else (batch, steps)
    highest = int(np.iinfo(dtype).max)
    x_zero, hidden_zero = (zero_point(rng), zero_point(rng)) if dtype is np.int8 else (0, 0)
    m = ModelBuilder()
    x = m.tensor((*leading, size), dtype, scale(rng) * 127 / highest, x_zero)
    # The hidden state spans about [-1, 1], the gates' inputs some units around 0 in steps of 2^-12.
    hidden = m.tensor((batch, cells), dtype, 10 ** rng.uniform(-0.5, 0.5) / highest, hidden_zero, variable=True)
    # A power of two in every converted model; TFLite Micro takes others.
    cell_scale = 2.0 ** int(rng.integers(-15, -7)) * (1 if rng.random() < 0.9 else rng.uniform(0.6, 1.6))
    cell = m.tensor((batch, cells), np.int16, cell_scale, 0, variable=True)
    from_input = [_gate_weights(m, rng, cells, size, m.scale_of(x) * highest) for _ in range(GATES)]
    from_hidden = [_gate_weights(m, rng, cells, cells, m.scale_of(hidden) * highest) for _ in range(GATES)]
    biases = [_bias(m, rng, cells, m.scale_of(x) * m.scale_of(w), dtype) for w in from_input]
    y = m.tensor((*leading, cells), dtype, m.scale_of(hidden), 0)
    intermediates = [m.tensor((0,), np.float32) for _ in range(GATES)] + [m.tensor((0,), dtype, m.scale_of(hidden), 0)]
    absent = -1
    m.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [x, *from_input, *from_hidden, *[absent] * 3, *biases, *[absent] * 2, hidden, cell, *[absent] * 4],
        [y], "UnidirectionalSequenceLSTMOptions", intermediates=intermediates,
        fusedActivationFunction=TANH, timeMajor=time_major,
        cellClip=float(rng.choice([0.0, 10.0, rng.uniform(0, 4)])),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def _gate_weights(m: ModelBuilder, rng: np.random.Generator, cells: int, size: int, reach: float) -> int:
    """Weights (cells, size) under which sums over inputs in [-reach, reach] mostly stay within [-8, 8]."""
    w_scale = 10 ** rng.uniform(0, 1.2) / (reach * 74 * np.sqrt(size))
    return m.tensor((cells, size), np.int8, w_scale, 0, data=rng.integers(-127, 128, (cells, size)))


def _bias(m: ModelBuilder, rng: np.random.Generator, cells: int, b_scale: float, dtype: type) -> int:
    """A bias (cells,) of some units: int32, for int16 activations int64."""
    data = np.rint(rng.normal(0, 1, cells) / b_scale)
    return m.tensor((cells,), np.int32 if dtype is np.int8 else np.int64, b_scale, 0, data=data)


CASES = (
    OpCase("SVDF", svdf),
    OpCase("SVDF", svdf_int16, "int16"),
    OpCase("UNIDIRECTIONAL_SEQUENCE_LSTM", lstm),
    OpCase("UNIDIRECTIONAL_SEQUENCE_LSTM", lstm_time_major, "time-major"),
    OpCase("UNIDIRECTIONAL_SEQUENCE_LSTM", lstm_int16, "int16"),
)
