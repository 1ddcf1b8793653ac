"""A real model on a Cortex-M7 and a Cortex-M33, whose kernels stand in an order of their own: the oracle's bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

import thimble

MOST_CYCLES = {"stm32h743zi": 5_000_000, "stm32u575zi": 8_000_000}
"""Of an inference of ic: 8.85 and 12.9 million before Winograd's kernels were priced there, and reordered."""


@pytest.mark.parametrize("chip", MOST_CYCLES)
def test_ic_takes_transformed_weights_and_keeps_its_bytes(chip: str, data: Path, tmp_path: Path) -> None:
    model = data / "models" / "mlperf_tiny" / "ic_resnet8_int8.tflite"
    report = thimble.compile(model, chip, tmp_path / "out", objective="latency")
    kernels = [layer["kernel"] for layer in report["layers"]]
    assert sum(kernel.startswith("conv_2d_winograd_dsp") for kernel in kernels) == 4
    assert report["latency"]["cycles"] < MOST_CYCLES[chip]
    verified = thimble.verify(tmp_path / "out", None, on="target", samples=2)["verify"]
    assert verified["mismatched_values"] == 0, verified["first_mismatch"]
    sources = "".join(path.read_text() for path in (tmp_path / "out").rglob("thimble_conv_2d_winograd_dsp_*.c"))
    assert f"In the order of the {'cortex-m7' if chip == 'stm32h743zi' else 'cortex-m33'}" in sources
