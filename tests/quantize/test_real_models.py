"""What quantization costs the MLPerf Tiny models, calibrated on samples that are not scored."""

from __future__ import annotations

import importlib.util

import pytest

from tests.bench.quantization import figures
from tests.bench.quantization_data import load_task
from tests.shared_data import data_folder
from thimble.quantize.quantizer import Method

pytestmark = pytest.mark.skipif(not data_folder().is_dir(), reason=f"no data folder at {data_folder()}")

LIMITS = {
    Method.FAST: {"kws": (1.0,), "ad": (0.005,), "vww": (1.0,), "ic": (1.0, 1.0)},
    Method.BEST: {"kws": (0.3,), "ad": (0.005,), "vww": (0.3,), "ic": (0.5, 0.3)},
}
"""Points of top-1 (AUC for ad) that may be lost on each evaluation; one of ic01's 200 images is 0.5 points."""

QUICK = ("kws",)


def check(name: str, method: Method) -> None:
    """Quantize, evaluate, compare with the limits."""
    if name == "ic" and importlib.util.find_spec("PIL") is None:
        pytest.skip("Pillow is not installed: the images are JPEG files")
    rows, steps, _ = figures(load_task(name), method)
    assert len(rows) == len(LIMITS[method][name])
    for (evaluation, before, after), limit in zip(rows, LIMITS[method][name], strict=True):
        assert before - after <= limit + 1e-9, f"{evaluation}: float {before}, integers {after}, {steps}"
        assert before > 0.8


@pytest.mark.parametrize("name", QUICK)
def test_fast_stays_within_its_limits(name: str) -> None:
    check(name, Method.FAST)


@pytest.mark.full
@pytest.mark.parametrize("name", ["ic", "vww", "ad"])
def test_fast_stays_within_its_limits_where_it_takes_longer(name: str) -> None:
    check(name, Method.FAST)


@pytest.mark.full
@pytest.mark.parametrize("name", ["ic", "kws", "vww", "ad"])
def test_best_stays_within_its_limits(name: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    check(name, Method.BEST)
