"""`make bench`: memory of real models beside TFLite Micro's, and the time that Thimble itself takes."""

from __future__ import annotations

import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import thimble
from tests.shared_data import data_folder
from thimble.compiler.driver import demo

TARGET = "stm32l4r5zi"
MODELS = (
    "mlperf_tiny/ic_resnet8_int8",
    "mlperf_tiny/kws_ref_model_int8",
    "mlperf_tiny/vww_96_int8",
    "mlperf_tiny/ad01_int8",
    "mlperf_tiny/str_ww_ref_model_int8",
    "mlperf_tiny/ic_resnet_large_int8",
    "vision/mcunet_vww_int8",
    "audio/micro_speech_quantized",
    "audio/microwakeword_okay_nabu_int8",
    "misc/mnist_lstm_int8",
    "misc/hello_world_int8",
)


def measure(model: Path, folder: Path) -> tuple[dict[str, Any], float]:
    """The report of a fresh build, and the seconds that `compile` took."""
    start = time.perf_counter()
    report = thimble.compile(model, TARGET, folder / model.stem)
    return report, time.perf_counter() - start


def memory_table(rows: list[tuple[dict[str, Any], float]], peers: dict[str, Any]) -> Table:
    """SRAM and flash of each model; in brackets the share of what the peer takes."""
    table = Table(title=f"Bytes on {TARGET}, in brackets the share of {peers['title']}", title_justify="left")
    for column in ("model", "MACs", "arena", "least for this order", "stack", "flash", "compile, s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for report, seconds in rows:
        name, memory = report["model"]["name"], report["memory"]
        peer = peers.get(name, {})
        table.add_row(
            name,
            f"{report['model']['macs']:,}",
            _beside(memory["arena_bytes"], peer.get("arena")),
            f"{memory['arena_bound_bytes']:,}",
            _beside(memory["stack_bytes"], peer.get("stack")),
            _beside(memory["flash_total_bytes"], peer.get("flash")),
            f"{seconds:.1f}",
        )
    return table


def _beside(ours: int | None, theirs: int | None) -> str:
    if ours is None:
        return "not measured"
    return f"{ours:,}" if theirs is None else f"{ours:,} ({ours / theirs:.2f})"


def main() -> None:
    """Measure the shipped model and, where they are here, the real ones; print the table."""
    console = Console(width=140)
    models = [demo.model_path(), *(data_folder() / "models" / f"{name}.tflite" for name in MODELS)]
    absent = [model for model in models if not model.is_file()]
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(model, Path(folder)) for model in models if model.is_file()]
    with (Path(__file__).parent / "peers.toml").open("rb") as file:
        console.print(memory_table(rows, tomllib.load(file)["tflm_cmsis_nn"]))
    if absent:
        console.print(f"{len(absent)} models are not here (set THIMBLE_DATA): {', '.join(m.stem for m in absent)}")


if __name__ == "__main__":
    main()
