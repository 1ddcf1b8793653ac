"""Weights of few bits for what really reaches their layer: least squares, then rounding that makes up for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.quantize.choices import DTYPES, WIDEST
from thimble.quantize.regression import from_matrices, operand_rows, weight_matrices
from thimble.quantize.simulate import Layer
from thimble.quantize.weights import weight_levels

RIDGE = 0.3
"""How strongly weights are held to their own values, in units of the mean square of an operand."""

DAMPING = 0.01
"""Added to the diagonal of the operands' covariance before rounding, in the same units."""

WIDE_DAMPING = 0.1
"""The same for 8 bits, whose errors are small beside what few samples leave open of the covariance."""

_CLIPS = np.linspace(1.0, 0.4, 25)
"""Candidates for the largest weight kept, as shares of the largest one there is."""

_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class NarrowWeights:
    """Integers of `bits` bits in their operator's layout and a float32 scale for each output channel.

    `layer` holds the real numbers that they stand for and the real bias, `real` those that were rounded to them.
    """

    bits: int
    data: Array
    scales: Array
    layer: Layer
    real: Array


def refit(site: Site, operand: Array, wanted: Array, bits: int) -> NarrowWeights:
    """The weights of a float node, in integers of `bits` bits, that give of `operand` what its own give of `wanted`.

    Both operands are (N, *shape). The real weights that do so best are found first, by least squares; they are rounded
    one tap after another, and what rounding does to the sums is made up for by the taps that are still to come. The
    bias takes what is left of the mean. Sources: Frantar et al., GPTQ (arXiv 2210.17323), for the rounding; Li et al.,
    GPTAQ (arXiv 2504.02692), for fitting to the operands that quantized layers give.
    """
    rows, target = operand_rows(site, operand), operand_rows(site, wanted)
    own = weight_matrices(site, site.input(1).constant).astype(np.float64)
    mean, target_mean = rows.mean(axis=1, keepdims=True), target.mean(axis=1, keepdims=True)
    rows, target = rows - mean, target - target_mean
    covariance = _products(rows, rows)
    unit = np.einsum("gkk->gk", covariance).mean(axis=1)[:, None, None] + _TINY
    identity = np.eye(covariance.shape[1])[None]
    held = covariance + RIDGE * unit * identity
    fitted = np.linalg.solve(held, (own @ (_products(target, rows) + RIDGE * unit * identity)).swapaxes(1, 2))
    real = fitted.swapaxes(1, 2)
    scales = _scales(real, held, bits)
    stored = _rounded(real, covariance + DAMPING * unit * identity, scales, bits)
    made = stored * scales[:, :, None]
    layer = Layer(
        from_matrices(site, made).astype(np.float32), _bias(site, target_mean, own, mean, made).astype(np.float32)
    )
    return NarrowWeights(
        bits,
        from_matrices(site, stored).astype(np.int8),
        scales.reshape(-1),
        layer,
        from_matrices(site, real).astype(np.float32),
    )


def passed_on(site: Site, operand: Array, scales: Array) -> Array:
    """The weights of a float node in int8 at given scales (channels,), rounded for what reaches it.

    `operand` is (N, *shape). Each tap's rounding error is passed on to the taps that are still to come (GPTQ, arXiv
    2210.17323), so that the sums lose little, though weights stay within some steps of their own.
    """
    rows = operand_rows(site, operand)
    rows = rows - rows.mean(axis=1, keepdims=True)
    own = weight_matrices(site, site.input(1).constant).astype(np.float64)
    covariance = _products(rows, rows)
    taps = covariance.shape[1]
    unit = np.einsum("gkk->gk", covariance).mean(axis=1)[:, None, None] + _TINY
    stored = _rounded(
        own,
        covariance + WIDE_DAMPING * unit * np.eye(taps)[None],
        scales.reshape(own.shape[:2]).astype(np.float64),
        WIDEST,
    )
    return from_matrices(site, stored).astype(np.int8)


def rebiased(site: Site, operand: Array, wanted: Array, weights: NarrowWeights) -> NarrowWeights:
    """The same weights with the bias that makes the means of all sums those that the node's own give of `wanted`."""
    mean = operand_rows(site, operand).mean(axis=1, keepdims=True)
    target_mean = operand_rows(site, wanted).mean(axis=1, keepdims=True)
    own, made = (weight_matrices(site, w).astype(np.float64) for w in (site.input(1).constant, weights.layer.weights))
    bias = _bias(site, target_mean, own, mean, made)
    return replace(weights, layer=Layer(weights.layer.weights, bias.astype(np.float32)))


def _bias(site: Site, target_mean: Array, own: Array, mean: Array, made: Array) -> Array:
    shift = target_mean @ own.swapaxes(1, 2) - mean @ made.swapaxes(1, 2)
    return np.asarray(site.input(2).constant.reshape(-1) + shift.reshape(-1))


def _products(left: Array, right: Array) -> Array:
    """(groups, taps, taps) of rows (groups, rows, taps)."""
    return np.asarray(left.swapaxes(1, 2) @ right, np.float64)


def _scales(real: Array, covariance: Array, bits: int) -> Array:
    """The float32 scale (groups, outputs) for each output channel at which its sums lose least."""
    low, high = weight_levels(DTYPES[bits])
    peak = np.abs(real).max(axis=2)
    best, lowest = np.maximum(peak / high, _TINY), np.full(peak.shape, np.inf)
    for clip in _CLIPS if bits < WIDEST else _CLIPS[:1]:
        scales = np.maximum(peak * clip / high, _TINY).astype(np.float32).astype(np.float64)
        error = np.clip(np.rint(real / scales[:, :, None]), low, high) * scales[:, :, None] - real
        lost = ((error @ covariance) * error).sum(axis=2)
        best, lowest = np.where(lost < lowest, scales, best), np.minimum(lost, lowest)
    return np.asarray(best)


def _rounded(real: Array, covariance: Array, scales: Array, bits: int) -> Array:
    """Integers (groups, outputs, taps), each tap's error passed on to those behind it."""
    low, high = weight_levels(DTYPES[bits])
    left, stored = real.copy(), np.zeros_like(real)
    factor = np.linalg.cholesky(np.linalg.inv(covariance)).swapaxes(1, 2)
    for tap in range(real.shape[2]):
        stored[:, :, tap] = np.clip(np.rint(left[:, :, tap] / scales), low, high)
        error = (left[:, :, tap] - stored[:, :, tap] * scales) / factor[:, None, tap, tap]
        left[:, :, tap + 1 :] -= error[:, :, None] * factor[:, None, tap, tap + 1 :]
    return stored
