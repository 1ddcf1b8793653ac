"""What is measured: the shipped model everywhere, real models on the reference board."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import thimble
from tests.shared_data import data_folder
from thimble.compiler.driver import demo
from thimble.targets.model import list_targets

BOARD = "stm32l4r5zi"
MLPERF_TINY = (
    "mlperf_tiny/ic_resnet8_int8",
    "mlperf_tiny/kws_ref_model_int8",
    "mlperf_tiny/vww_96_int8",
    "mlperf_tiny/ad01_int8",
    "mlperf_tiny/str_ww_ref_model_int8",
)
OTHERS = (
    "mlperf_tiny/ic_resnet_large_int8",
    "vision/mcunet_vww_int8",
    "audio/micro_speech_quantized",
    "audio/microwakeword_okay_nabu_int8",
    "misc/mnist_lstm_int8",
    "misc/hello_world_int8",
)


def model_file(name: str) -> Path:
    """Path of a real model, which may be absent."""
    return data_folder() / "models" / f"{name}.tflite"


def recorded_pairs() -> list[tuple[str, Path]]:
    """(target, model) of every figure in cycles.json: the shipped model on all targets, MLPerf Tiny on the board."""
    shipped = [(target, demo.model_path()) for target in list_targets()]
    return [*shipped, *((BOARD, model_file(name)) for name in MLPERF_TINY)]


def measure(model: Path, target: str = BOARD, **options: Any) -> tuple[dict[str, Any], float]:
    """The report of a fresh build, cycles of one inference in it, and the seconds that `compile` took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        report = thimble.compile(model, target, Path(folder) / "out", **options)
        return report, time.perf_counter() - start
