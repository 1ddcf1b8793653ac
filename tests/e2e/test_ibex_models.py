"""Models through the whole path on the Ibex RTL: every value as the reference runtime's, every cycle exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import thimble
from tests.e2e.test_real_models import AD, IC, KWS, SWW, VWW, RealModel
from tests.unit.test_ibex import TARGETS, needs_ibex
from thimble.compiler.driver.demo import model_path, samples_path

pytestmark = needs_ibex


def check(model: Path, data: Path | None, target: str, out: Path, samples: int) -> None:
    """Compile, verify `samples` on the RTL, and look at what the report says of time."""
    compiled: dict[str, Any] = thimble.compile(model, target, out)
    assert compiled["target"]["timing"] == "exact"
    report = thimble.verify(out, data, on="target", samples=samples)
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    assert report["verify"]["samples"] == samples
    latency, layers = report["latency"], report["layers"]
    assert latency["inferences"] == samples
    assert 0 < latency["instructions"] < latency["cycles"]
    assert latency["ms"] == pytest.approx(latency["cycles"] / 50_000, abs=1e-4)
    # What is left are the calls of the layers, step by step where they run by rows.
    steps = len(report["memory"]["schedule"])
    in_layers = sum(layer["cycles"] for layer in layers)
    assert all((layer["cycles"] == 0) == (layer["kernel"] == "view") for layer in layers)
    assert latency["cycles"] - 12 * len(layers) - 40 * steps - 50 < in_layers < latency["cycles"]
    assert 0 < report["memory"]["stack_bytes"] < 1024


def test_shipped_model(tmp_path: Path) -> None:
    check(model_path(), samples_path(), "ibex-fast", tmp_path / "out", samples=1)


@pytest.mark.parametrize("target", TARGETS)
def test_anomaly_detection(target: str, data: Path, tmp_path: Path) -> None:
    check(data / "models" / AD.path, data / "eval" / str(AD.data), target, tmp_path / "out", samples=3)


@pytest.mark.full
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("model", "samples"), [(KWS, 5), (SWW, 10), (AD, 50), (IC, 1), (VWW, 1)], ids=lambda m: getattr(m, "id", "")
)
def test_mlperf_tiny(model: RealModel, samples: int, target: str, data: Path, tmp_path: Path) -> None:
    check(data / "models" / model.path, data / "eval" / str(model.data), target, tmp_path / "out", samples)
