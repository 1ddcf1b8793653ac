"""Roundings and ranges of a choice of bits learned end to end, as `best` learns those of 8 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from thimble.compiler.ir.types import QuantParams
from thimble.quantize.calibration import Calibration
from thimble.quantize.choices import DTYPES, WIDEST
from thimble.quantize.learned import learn
from thimble.quantize.parameters import Parameters, QuantizedWeights
from thimble.quantize.refit import NarrowWeights
from thimble.quantize.sensitivity import Fitted, Sensitivity
from thimble.quantize.simulate import Grid, Layer
from thimble.quantize.weights import channel_axis, real_weights, store_bias


def taught(measured: Sensitivity, fitted: Fitted, samples: Calibration, progress: Any) -> Fitted:
    """The choice with roundings, ranges and biases that make the outputs those of the network in real numbers.

    Biases are set once more when the roundings are. Raises ToolMissing without PyTorch, UnsupportedOp for an operator
    that quantize/torch_network.py lacks.
    """
    before = _parameters(measured, fitted)
    start = {position: made.real for position, made in fitted.weights.items()}
    learned = learn(measured.real, before, samples, progress, start).all
    kept = {*measured.real.inputs, *measured.real.outputs}
    grids = {
        i: grid if i in kept else Grid(grid.bits, learned.values[i].scale, learned.values[i].zero_point)
        for i, grid in fitted.grids.items()
    }
    weights = {}
    for position, made in fitted.weights.items():
        new = learned.weights[position]
        real = real_weights(new, channel_axis(measured.real.sites[position]))
        weights[position] = replace(made, data=new.data, layer=Layer(real, made.layer.bias))
    return measured.rebiased(Fitted(fitted.bits, grids, weights))


def _parameters(measured: Sensitivity, fitted: Fitted) -> Parameters:
    """A choice as learning takes it."""
    values = {i: QuantParams((grid.scale,), (grid.zero_point,)) for i, grid in fitted.grids.items()}
    narrow = {i: DTYPES[grid.bits] for i, grid in fitted.grids.items() if grid.bits != WIDEST}
    weights = {p: _stored(measured, values, p, made) for p, made in fitted.weights.items()}
    return Parameters(values, weights, narrow=narrow)


def _stored(
    measured: Sensitivity, values: dict[int, QuantParams], position: int, made: NarrowWeights
) -> QuantizedWeights:
    source = measured.real.nodes[position].inputs[0]
    assert source is not None
    assert made.layer.bias is not None
    scales = made.scales.astype(np.float32)
    return QuantizedWeights(
        made.data, scales, store_bias(made.layer.bias, values[source].scale, scales), DTYPES[made.bits]
    )
