"""UNIDIRECTIONAL_SEQUENCE_LSTM: a plain LSTM over a sequence, whose states persist between inferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import (
    input_types,
    is_per_tensor,
    per_tensor,
    same_input_output_type,
    symmetric_int16,
)
from thimble.compiler.ops.convolution import WIDE_BITS, WIDE_MAX_SHIFT, exact_matmul
from thimble.compiler.ops.fixed_point import quantize_multiplier, requantize, requantize_wide, wrap_int32
from thimble.compiler.ops.recurrent import (
    LARGEST_FACTOR,
    is_symmetric_constant,
    states_are_variables,
)
from thimble.compiler.ops.sigmoid import SIGMOID_TABLE, logistic_q15, tanh_q15

# Input positions; each group of four has one tensor for each gate, in the order input, forget, cell, output.
INPUT, HIDDEN, CELL = 0, 13, 14
INPUT_WEIGHTS, HIDDEN_WEIGHTS, BIASES = range(1, 5), range(5, 9), range(9, 13)
_GATES = range(4)
_INPUT_GATE, _FORGET_GATE, _CELL_GATE, _OUTPUT_GATE = _GATES

_GATE_INPUT_SCALE = 2.0**-12
_GATE_OUTPUT_SCALE = 2.0**-15
_INT16_MIN, _INT16_MAX = DType.INT16.range


def weights_are_symmetric(site: Site) -> bool:
    """Weights must be constant int8 with one scale and zero point 0."""
    weights = [site.input(index) for index in (*INPUT_WEIGHTS, *HIDDEN_WEIGHTS)]
    return all(w.type.dtype is DType.INT8 and is_symmetric_constant(w) for w in weights)


def biases_match(site: Site) -> bool:
    """Biases must be constant: int32 for int8 activations, int64 up to 2^46 for int16 ones."""
    biases = [site.input(index) for index in BIASES]
    if any(bias.role is not Role.CONSTANT for bias in biases):
        return False
    if site.input(INPUT).type.dtype is DType.INT8:
        return all(bias.type.dtype is DType.INT32 for bias in biases)
    limit = 1 << (WIDE_BITS - 1)
    return all(
        bias.type.dtype is DType.INT64 and -limit <= bias.constant.min() and bias.constant.max() <= limit
        for bias in biases
    )


def hidden_state_matches(site: Site) -> bool:
    """The hidden state must have the input's type, one scale and one zero point, which is 0 for int16."""
    hidden = site.input(HIDDEN)
    return (
        hidden.type.dtype is site.input(INPUT).type.dtype
        and is_per_tensor(hidden)
        and (hidden.type.dtype is DType.INT8 or hidden.quant.zero_point == 0)
    )


def cell_state_is_int16(site: Site) -> bool:
    """The cell state must be int16 with zero point 0 and a scale in [2^-30, 2], a power of two in converted models."""
    cell = site.input(CELL)
    return (
        cell.type.dtype is DType.INT16
        and is_per_tensor(cell)
        and cell.quant.zero_point == 0
        and 2.0**-30 <= cell.quant.scale <= 2
    )


def factors_fit(site: Site) -> bool:
    """Input or hidden scale * weight scale must be below 2^18 (int16: 4), and the hidden scale above 2^-60."""
    is_int16 = site.input(INPUT).type.dtype is DType.INT16
    limit = 2.0**WIDE_MAX_SHIFT if is_int16 else LARGEST_FACTOR
    gates_fit = all(factor < limit for factor in (*input_scales(site), *hidden_scales(site)))
    return gates_fit and _output_scale(site) < LARGEST_FACTOR


def input_scales(site: Site) -> list[float]:
    """Factor from sums over the input to a gate's input, for each gate."""
    return [_gate_scale(site, INPUT, index) for index in INPUT_WEIGHTS]


def hidden_scales(site: Site) -> list[float]:
    """Factor from sums over the hidden state to a gate's input, for each gate."""
    return [_gate_scale(site, HIDDEN, index) for index in HIDDEN_WEIGHTS]


def _gate_scale(site: Site, vector: int, weights: int) -> float:
    return site.input(vector).quant.scale * site.input(weights).quant.scale / _GATE_INPUT_SCALE


def _output_scale(site: Site) -> float:
    return _GATE_OUTPUT_SCALE**2 / site.input(HIDDEN).quant.scale


@dataclass(frozen=True, slots=True)
class _Sizes:
    batches: int
    steps: int
    input: int
    cells: int


@dataclass(frozen=True, slots=True)
class _CellArithmetic:
    """Multipliers and shifts of the products between gates and states, tanh's scaling, limits of the cell state."""

    forget: tuple[int, int]  # forget gate * cell state -> cell state
    update: tuple[int, int]  # input gate * cell gate -> cell state
    output: tuple[int, int]  # output gate * tanh(cell state) -> hidden state
    tanh: tuple[int, int]  # multiplier and right shift to tanh's units of 1 / (3 * 2**12)
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class UnidirectionalSequenceLstm(Operator):
    """Input (B, T, I), output (B, T, N), or time first; no peephole, projection or layer normalization, tanh cells.

    For each gate: input weights (N, I), recurrent weights (N, N), bias (N,); hidden and cell state of B * N elements.
    The output is the hidden state after each step, in the hidden state's quantization. Gates take their input with
    12 fractional bits.
    """

    time_major: bool
    cell_clip: float  # largest magnitude of the cell state; 0 for none

    name = "unidirectional_sequence_lstm"
    state_inputs = (HIDDEN, CELL)
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        states_are_variables,
        weights_are_symmetric,
        biases_match,
        hidden_state_matches,
        cell_state_is_int16,
        factors_fit,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, hidden = site.input(INPUT).type.shape, site.input(HIDDEN).type.shape
        if len(x) != 3 or len(hidden) < 2 or 0 in x or 0 in hidden:
            raise MalformedModel(f"{site.source} needs an input of rank 3 and a hidden state of rank 2.")
        sizes = self._sizes(site)
        expected = {
            **dict.fromkeys(INPUT_WEIGHTS, (sizes.cells, sizes.input)),
            **dict.fromkeys(HIDDEN_WEIGHTS, (sizes.cells, sizes.cells)),
            **dict.fromkeys(BIASES, (sizes.cells,)),
        }
        for index, shape in expected.items():
            if site.input(index).type.shape != shape:
                raise MalformedModel(
                    f"{site.source}: tensor {site.input(index).name!r} has shape {site.input(index).type.shape}; "
                    f"it must be {shape}."
                )
        if any(site.input(state).type.elements != sizes.batches * sizes.cells for state in (HIDDEN, CELL)):
            raise MalformedModel(f"{site.source} needs states of {sizes.batches} x {sizes.cells} elements.")
        return ((*x[:2], sizes.cells),)

    def macs(self, site: Site) -> int:
        sizes = self._sizes(site)
        return len(_GATES) * sizes.batches * sizes.steps * sizes.cells * (sizes.input + sizes.cells)

    def _sizes(self, site: Site) -> _Sizes:
        first, second, size = site.input(INPUT).type.shape
        batches, steps = (second, first) if self.time_major else (first, second)
        return _Sizes(batches, steps, size, site.input(HIDDEN).type.shape[1])

    def _arithmetic(self, site: Site) -> _CellArithmetic:
        """As PrepareGateParametersInteger and CreateLstmCellStateInfo do (TFLite Micro lstm_eval_common.cc)."""
        scale = site.input(CELL).quant.scale
        power = int(np.rint(np.log(np.float32(scale)) * np.float32(1 / np.log(2.0))))
        high, low = _INT16_MAX, _INT16_MIN
        if self.cell_clip > 0:
            high = int(min(self.cell_clip / scale, float(_INT16_MAX)))
            low = -high
        return _CellArithmetic(
            forget=quantize_multiplier(_GATE_OUTPUT_SCALE * scale / scale),
            update=quantize_multiplier(_GATE_OUTPUT_SCALE**2 / scale),
            output=quantize_multiplier(_output_scale(site)),
            tanh=(3 << (power + 12), 0) if power >= -12 else (3, -12 - power),
            low=low,
            high=high,
        )

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        sizes, arithmetic = self._sizes(site), self._arithmetic(site)
        x = inputs[INPUT] if self.time_major else inputs[INPUT].swapaxes(0, 1)  # (T, B, I)
        from_input = [
            _gate_input(x, site.input(INPUT).quant.zero_point, inputs[weights], inputs[bias], scale)
            for weights, bias, scale in zip(INPUT_WEIGHTS, BIASES, input_scales(site), strict=True)
        ]
        zero_point, scales = site.input(HIDDEN).quant.zero_point, hidden_scales(site)
        hidden = inputs[HIDDEN].reshape(sizes.batches, sizes.cells)
        cell = inputs[CELL].reshape(sizes.batches, sizes.cells).astype(np.int64)
        steps = np.zeros((sizes.steps, sizes.batches, sizes.cells), hidden.dtype)
        for step in range(sizes.steps):
            gates = [
                _saturate16(from_input[gate][step] + _gate_input(hidden, zero_point, inputs[weights], 0, scales[gate]))
                for gate, weights in zip(_GATES, HIDDEN_WEIGHTS, strict=True)
            ]
            cell, scaled = _update(arithmetic, gates, cell)
            shifted = wrap_int32(scaled + zero_point)
            hidden = np.clip(shifted, *site.input(HIDDEN).type.dtype.range).astype(hidden.dtype)
            steps[step] = hidden
        inputs[HIDDEN][...] = hidden.reshape(inputs[HIDDEN].shape)
        inputs[CELL][...] = cell.reshape(inputs[CELL].shape)
        return (steps if self.time_major else np.ascontiguousarray(steps.swapaxes(0, 1)),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        sizes, arithmetic = self._sizes(site), self._arithmetic(site)
        from_input = [quantize_multiplier(scale) for scale in input_scales(site)]
        from_hidden = [quantize_multiplier(scale) for scale in hidden_scales(site)]
        call = KernelCall(
            kernel="lstm_s8" if site.input(INPUT).type.dtype is DType.INT8 else "lstm_s16",
            params=(
                ("batches", sizes.batches),
                ("time_steps", sizes.steps),
                ("input_size", sizes.input),
                ("cells", sizes.cells),
                ("time_major", int(self.time_major)),
                ("input_zero_point", site.input(INPUT).quant.zero_point),
                ("hidden_zero_point", site.input(HIDDEN).quant.zero_point),
                ("input_multipliers", tuple(m for m, _ in from_input)),
                ("input_shifts", tuple(s for _, s in from_input)),
                ("hidden_multipliers", tuple(m for m, _ in from_hidden)),
                ("hidden_shifts", tuple(s for _, s in from_hidden)),
                ("forget_multiplier", arithmetic.forget[0]),
                ("forget_shift", arithmetic.forget[1]),
                ("update_multiplier", arithmetic.update[0]),
                ("update_shift", arithmetic.update[1]),
                ("output_multiplier", arithmetic.output[0]),
                ("output_shift", arithmetic.output[1]),
                ("tanh_multiplier", arithmetic.tanh[0]),
                ("tanh_shift", arithmetic.tanh[1]),
                ("cell_min", arithmetic.low),
                ("cell_max", arithmetic.high),
            ),
            arguments=(
                *(Input(index) for index in range(CELL + 1)),
                Table("sigmoid_table", SIGMOID_TABLE),
                Output(),
            ),
        )
        return (call,)


def _gate_input(vectors: Array, zero_point: int, weights: Array, bias: Array | int, scale: float) -> Array:
    """A matrix product (..., n) x (N, n) -> (..., N), requantized and saturated to 16 bits; int64."""
    sums = exact_matmul(vectors.reshape(-1, vectors.shape[-1]).astype(np.int64) - zero_point, weights.T) + bias
    multiplier, shift = quantize_multiplier(scale)
    if vectors.dtype == np.int16:
        scaled = wrap_int32(requantize_wide(sums, multiplier, shift))
    else:
        scaled = requantize(wrap_int32(sums), multiplier, shift)
    return _saturate16(scaled).reshape(*vectors.shape[:-1], weights.shape[0])


def _update(arithmetic: _CellArithmetic, gates: Sequence[Array], cell: Array) -> tuple[Array, Array]:
    """The cell state after one step, and the hidden state before its zero point is added and it is clamped."""
    keep, admit, emit = (logistic_q15(3 * gates[gate]) for gate in (_FORGET_GATE, _INPUT_GATE, _OUTPUT_GATE))
    candidate = tanh_q15(3 * gates[_CELL_GATE])
    kept = _saturate16(requantize(keep * cell, *arithmetic.forget))
    added = _saturate16(requantize(admit * candidate, *arithmetic.update))
    cell = np.clip(_saturate16(kept + added), arithmetic.low, arithmetic.high)
    multiplier, shift = arithmetic.tanh
    squashed = tanh_q15((cell * multiplier + (1 << shift >> 1)) >> shift)
    return cell, requantize(squashed * emit, *arithmetic.output)


def _saturate16(x: Array) -> Array:
    return np.clip(x, _INT16_MIN, _INT16_MAX)
