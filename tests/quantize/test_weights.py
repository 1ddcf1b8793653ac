"""Weights and biases as integers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantize.networks import FloatNetwork, small_classifier
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Site
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.quantize.weights import (
    BIAS_MAX,
    channel_axis,
    channels_first,
    has_weights,
    quantize_weights,
    real_weights,
)

SITES = [site for site in small_classifier().sites if has_weights(site)]


def dense_site(weights: np.ndarray, bias: np.ndarray) -> Site:
    """One matrix product."""
    net = FloatNetwork()
    x = net.input(1, weights.shape[1])
    out = net.op(FullyConnected(Activation.NONE, False), x, net.constant(weights), net.constant(bias))
    return net.graph(out).sites[0]


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("site", SITES, ids=lambda site: site.op.name)
def test_each_channel_uses_its_integers(site: Site, clip: bool) -> None:
    made = quantize_weights(site, 0.05, clip)
    rows = channels_first(made.data, channel_axis(site)).astype(int)
    assert (np.abs(rows).max(axis=1) == 127).all()
    error = np.abs(real_weights(made, channel_axis(site)) - site.input(1).constant)
    if not clip:
        assert (channels_first(error, channel_axis(site)).max(axis=1) <= made.scales * 0.5001).all()


def test_clipping_lowers_the_squared_error() -> None:
    rng = np.random.default_rng(5)
    site = dense_site(rng.standard_t(3, size=(16, 400)), np.zeros(16))

    def error(clip: bool) -> float:
        return float(((real_weights(quantize_weights(site, 0.1, clip), 0) - site.input(1).constant) ** 2).sum())

    assert error(True) < 0.99 * error(False)


def test_bias_stands_at_input_scale_times_weight_scale() -> None:
    site = dense_site(np.eye(3), np.array([0.5, -2.0, 0.0]))
    made = quantize_weights(site, 0.1)
    assert made.bias is not None
    np.testing.assert_allclose(made.bias * 0.1 * made.scales, [0.5, -2.0, 0.0], atol=0.1 * made.scales.max() / 2)


def test_large_bias_of_small_weights_still_fits() -> None:
    made = quantize_weights(dense_site(np.full((2, 4), 1e-12), np.array([3.0, 0.0])), 0.02)
    assert made.bias is not None
    assert np.abs(made.bias).max() <= BIAS_MAX
    assert made.bias[0] * 0.02 * made.scales[0] == pytest.approx(3.0, rel=1e-6)


def test_channel_of_zeros() -> None:
    made = quantize_weights(dense_site(np.zeros((2, 4)), np.zeros(2)), 0.02)
    assert not made.data.any()
    assert (made.scales > 0).all()


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UnsupportedOp, match="not finite"):
        quantize_weights(dense_site(np.array([[np.nan, 1.0]]), np.zeros(1)), 0.1)
