"""`--io int8` end to end: the firmware takes and gives integers, and verification still speaks to the whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import thimble
from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.ir.errors import UsageError

TARGET = "stm32l4r5zi"
SCALE, ZERO = 0.0157, -3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real numbers, channels first: QUANTIZE, TRANSPOSE, CONV_2D, TRANSPOSE, DEQUANTIZE."""
    m = ModelBuilder()
    rng = np.random.default_rng(4)
    x = m.tensor((1, 3, 9, 7), np.float32, name="camera")
    q = m.tensor((1, 3, 9, 7), np.int8, SCALE, ZERO)
    image = m.tensor((1, 9, 7, 3), np.int8, SCALE, ZERO)
    w = m.tensor((5, 3, 3, 3), np.int8, 0.01, data=rng.integers(-127, 128, (5, 3, 3, 3)))
    made = m.tensor((1, 9, 7, 5), np.int8, 0.05, 6)
    back = m.tensor((1, 5, 9, 7), np.int8, 0.05, 6)
    y = m.tensor((1, 5, 9, 7), np.float32, name="heat")
    m.op("QUANTIZE", [x], [q])
    m.op("TRANSPOSE", [q, m.const([0, 2, 3, 1])], [image], "TransposeOptions")
    m.op("CONV_2D", [image, w, -1], [made], "Conv2DOptions", strideH=1, strideW=1)
    m.op("TRANSPOSE", [made, m.const([0, 3, 1, 2])], [back], "TransposeOptions")
    m.op("DEQUANTIZE", [back], [y])
    m.interface([x], [y])
    path = tmp_path_factory.mktemp("model") / "camera.tflite"
    path.write_bytes(m.build())
    return path


@pytest.fixture(scope="module")
def build(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "out"
    thimble.compile(model, TARGET, out, io="int8", kernels="c")
    return out


def test_the_header_describes_integers(build: Path) -> None:
    header = (build / "camera.h").read_text()
    assert "(1, 9, 7, 3) int8" in header
    assert "(1, 9, 7, 5) int8" in header
    assert "float32" not in header
    assert f"{ZERO}" in header
    assert np.format_float_positional(np.float32(SCALE), trim="-")[:6] in header


def test_less_ram_than_with_the_models_own_interface(model: Path, build: Path, tmp_path: Path) -> None:
    own = thimble.compile(model, TARGET, tmp_path / "own")
    report = open_build(build).report
    assert report["build"]["io"] == "int8"
    assert own["build"]["io"] == "model"
    assert report["memory"]["io_bytes"] == 9 * 7 * (3 + 5)
    assert report["memory"]["arena_bytes"] < own["memory"]["arena_bytes"]


@pytest.mark.parametrize("kind", ["random", "integers", "model's reals", "image reals"])
def test_equal_to_the_whole_model(kind: str, build: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = {
        "integers": rng.integers(-128, 128, (6, 9, 7, 3), np.int8, endpoint=False),
        "model's reals": rng.uniform(-2.2, 2.2, (6, 3, 9, 7)).astype(np.float32),
        "image reals": rng.uniform(-2.2, 2.2, (6, 9, 7, 3)),
    }
    if kind in data:
        np.savez(tmp_path / "x.npz", camera=data[kind])
    report = thimble.verify(build, tmp_path / "x.npz" if kind in data else None, samples=6)
    assert report["verify"]["samples"] == 6
    assert [r["runtime"] for r in report["verify"]["runtimes"]] == ["integer reference", "host", "target"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


def test_reals_are_quantized_as_the_model_does(build: Path, tmp_path: Path) -> None:
    halves = (np.arange(-95, 94) + 0.5).astype(np.float32) * np.float32(SCALE)  # where roundings differ
    reals = halves.reshape(1, 3, 9, 7)
    np.savez(tmp_path / "x.npz", camera=reals)
    thimble.run(build, tmp_path / "x.npz", tmp_path / "reals.npz", on="host")
    whole = np.trunc(reals / np.float32(SCALE) + np.where(reals < 0, -0.5, 0.5).astype(np.float32)) + ZERO
    np.savez(tmp_path / "x.npz", camera=whole.transpose(0, 2, 3, 1).astype(np.int8))
    thimble.run(build, tmp_path / "x.npz", tmp_path / "integers.npz", on="host")
    first, second = (np.load(tmp_path / f"{name}.npz")["heat"] for name in ("reals", "integers"))
    assert first.dtype == np.int8
    assert np.array_equal(first, second)


def test_a_broken_layer_is_found_through_the_interface(build: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(build, tmp_path / "broken")
    kernel = copy / "thimble_conv_2d_s8.c"
    assert "output_zero_point" in kernel.read_text()
    kernel.write_text(kernel.read_text().replace("p->output_zero_point", "p->output_zero_point + 1"))
    first = thimble.verify(copy, on="host", samples=2)["verify"]["first_mismatch"]
    assert first["runtime"] == "host"
    assert first["layer"]["op"] == "conv_2d"
    assert first["got"] - first["expected"] == pytest.approx(0.05)


def test_a_float_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    m = ModelBuilder()
    x, y = m.tensor((1, 4, 3), np.float32, name="signal"), m.tensor((1, 3, 4), np.float32)
    m.op("TRANSPOSE", [x, m.const([0, 2, 1])], [y], "TransposeOptions")
    m.interface([x], [y])
    (tmp_path / "float.tflite").write_bytes(m.build())
    with pytest.raises(UsageError, match="'signal' is float32"):
        thimble.compile(tmp_path / "float.tflite", TARGET, tmp_path / "out", io="int8")
    assert not (tmp_path / "out").exists()
