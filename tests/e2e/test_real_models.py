"""Real models through the whole path: every value equals the reference runtime's, on host and simulated chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import thimble

TARGET = "stm32l4r5zi"


@dataclass(frozen=True)
class RealModel:
    """A model with its evaluation data (None: random inputs), and the top-1 that is published with it."""

    path: str
    data: str | None = None
    top1: float | None = None

    @property
    def id(self) -> str:
        return Path(self.path).stem


KWS = RealModel("mlperf_tiny/kws_ref_model_int8.tflite", "kws01_int8.npz", 90.1)
IC = RealModel("mlperf_tiny/ic_resnet8_int8.tflite", "ic01_int8.npz", 86.5)
VWW = RealModel("mlperf_tiny/vww_96_int8.tflite", "vww01_int8.npz", 85.4)
AD = RealModel("mlperf_tiny/ad01_int8.tflite", "ad01_int8.npz")
SWW = RealModel("mlperf_tiny/str_ww_ref_model_int8.tflite", "sww_10s_int8.npz")
IC_LARGE = RealModel("mlperf_tiny/ic_resnet_large_int8.tflite", "ic01_int8.npz")
MLPERF = (KWS, IC, VWW, AD, SWW)
OTHERS = (
    RealModel("audio/micro_speech_quantized.tflite"),
    RealModel("misc/hello_world_int8.tflite"),
    RealModel("misc/mnist_lstm_int8.tflite"),
    RealModel("audio/microwakeword_okay_nabu_int8.tflite"),
    RealModel("vision/mcunet_vww_int8.tflite"),
)


def compile_and_verify(
    model: RealModel, data: Path, out: Path, on: str = "both", samples: int | None = None, rounding: str = "tflm"
) -> dict:
    from thimble.compiler.ir.operator import Rounding

    thimble.compile(data / "models" / model.path, TARGET, out, rounding=Rounding(rounding))
    evaluation = data / "eval" / model.data if model.data else None
    return thimble.verify(out, evaluation, on=on, samples=samples)


@pytest.mark.parametrize("model", [*MLPERF, *OTHERS], ids=lambda m: m.id)
def test_fifty_samples_on_host_and_target(model: RealModel, data: Path, tmp_path: Path) -> None:
    report = compile_and_verify(model, data, tmp_path / "out", samples=50)
    assert report["verify"]["samples"] == 50
    assert [r["runtime"] for r in report["verify"]["runtimes"]] == ["integer reference", "host", "target"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


def test_larger_resnet(data: Path, tmp_path: Path) -> None:
    report = compile_and_verify(IC_LARGE, data, tmp_path / "out", samples=5)
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


@pytest.mark.full
@pytest.mark.parametrize("model", [*MLPERF, IC_LARGE], ids=lambda m: m.id)
def test_all_evaluation_data_on_the_host(model: RealModel, data: Path, tmp_path: Path) -> None:
    report = compile_and_verify(model, data, tmp_path / "out", on="host")
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    if model.top1 is not None:
        assert round(report["accuracy"]["simulated"], 1) == model.top1


@pytest.mark.full
@pytest.mark.parametrize("model", [IC, KWS, VWW, AD], ids=lambda m: m.id)
def test_litert_rounding_on_all_evaluation_data(model: RealModel, data: Path, tmp_path: Path) -> None:
    report = compile_and_verify(model, data, tmp_path / "out", on="host", rounding="litert")
    assert "BUILTIN_REF" in report["verify"]["reference"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


@pytest.mark.parametrize("model", [IC, KWS, AD], ids=lambda m: m.id)
def test_litert_rounding(model: RealModel, data: Path, tmp_path: Path) -> None:
    report = compile_and_verify(model, data, tmp_path / "out", samples=20, rounding="litert")
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


def test_wake_word_over_200_consecutive_steps(data: Path, tmp_path: Path) -> None:
    features = np.load(data / "eval" / "mww_features.npz")
    steps = features["f"][: 200 * 3].reshape(200, 1, 3, 40)
    model = data / "models" / "audio" / "microwakeword_okay_nabu_int8.tflite"
    np.savez(tmp_path / "steps.npz", x=steps)
    thimble.compile(model, TARGET, tmp_path / "out")
    report = thimble.verify(tmp_path / "out", tmp_path / "steps.npz")
    assert report["verify"]["samples"] == 200
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.full)])
def test_mcunet_over_real_images(count: int, data: Path, tmp_path: Path) -> None:
    images = np.load(data / "eval" / "vww01_int8.npz")
    nearest = ((np.arange(80) + 0.5) * 96 / 80).astype(int)  # 96 x 96 to 80 x 80
    pixels = images["x"][:count][:, nearest][:, :, nearest].astype(np.float32) + 128
    np.savez(tmp_path / "images.npz", x=pixels / 127.5 - 1, y=images["y"][:count])
    thimble.compile(data / "models" / "vision" / "mcunet_vww_int8.tflite", TARGET, tmp_path / "out")
    report = thimble.verify(tmp_path / "out", tmp_path / "images.npz")
    assert report["verify"]["samples"] == count
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    assert report["accuracy"]["simulated"] >= 85


@pytest.mark.parametrize("model", [KWS, IC, VWW, RealModel("vision/mcunet_vww_int8.tflite")], ids=lambda m: m.id)
def test_by_rows_with_the_input_by_rows(model: RealModel, data: Path, tmp_path: Path) -> None:
    options = {"schedule": "rows", "input": "rows", "io": "int8", "plan_time_s": 0.0}
    report = thimble.compile(data / "models" / model.path, TARGET, tmp_path / "out", **options)
    assert report["model"]["macs_executed"] <= report["model"]["macs"]
    evaluation = data / "eval" / model.data if model.data else None
    report = thimble.verify(tmp_path / "out", evaluation, samples=10)
    assert [r["runtime"] for r in report["verify"]["runtimes"]] == ["integer reference", "host", "target"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
