"""The table of docs/kernels.md that says where flash goes: MLPerf Tiny on the reference board, built as by default.

`python -m tests.bench.flash [NAME ...]` builds all models, or those whose titles are given, and writes their rows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.bench.models import BOARD, measure, model_file
from tests.bench.page import PageTable, TableRows
from tests.shared_data import ROOT
from thimble.compiler.driver.open_model import open_model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph
from thimble.quantize.weights import channel_axis, has_weights

PAGE = ROOT / "docs" / "kernels.md"
COLUMNS = (
    *("model", "weights", "floor", "tables", "kernels", "layers' functions", "parameters"),
    *("start-up, main, vectors", "all"),
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|{'---:|' * (len(COLUMNS) - 1)}\n"
TABLE = PageTable(PAGE, "flash", HEAD)
MODELS = {
    "ic": "ic_resnet8_int8",
    "kws": "kws_ref_model_int8",
    "vww": "vww_96_int8",
    "ad": "ad01_int8",
    "sww": "str_ww_ref_model_int8",
}
LAYERS = re.compile(r"layer_\d+_|.*_(invoke|init|step|reset)$|run_steps$")
START_UP = re.compile(r"(board_|semihosting_)|(Reset_Handler|Fault_Handler|main|report|write_register|vectors)$")


def floor_bytes(graph: Graph) -> tuple[int, int]:
    """Weights that are left, and the bytes of these, of a bias for each channel and of the multipliers."""
    weights = floor = 0
    for site in graph.sites:
        if has_weights(site):
            kernel = site.input(1).type
            scales = 1 if kernel.quant is None else len(kernel.quant.scales)
            weights += kernel.elements
            floor += kernel.elements + 4 * (kernel.shape[channel_axis(site)] + scales)
    return weights, floor


def parts_of(report: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Bytes of kernels, of layers' functions, of parameters and of what every firmware has, by the ELF's symbols."""
    tables = f"{report['build']['name']}_layer_"
    kernels = layers = parameters = start_up = 0
    for symbol in report["flash_symbols"]:
        name, size = symbol["name"], symbol["bytes"]
        if START_UP.match(name):
            start_up += size
        elif symbol["kind"] == "object":
            parameters += 0 if name.startswith(tables) else size
        elif LAYERS.match(name):
            layers += size
        else:
            kernels += size
    return kernels, layers, parameters, start_up


def row(title: str, path: Path) -> str:
    """The cells of one model."""
    report, _ = measure(path)
    memory = report["memory"]
    plain = open_model(path, BOARD, CompileOptions()).plain
    figures = (*floor_bytes(plain), memory["weights_bytes"], *parts_of(report), memory["flash_total_bytes"])
    return f"| {title} | {' | '.join(f'{figure:,}' for figure in figures)} |"


def titled_rows(title: str, row: Callable[[str, Path], str]) -> TableRows:
    """The row of one of MODELS, by the title that it has in the tables of the page."""
    path = model_file(f"mlperf_tiny/{MODELS[title]}")
    return TableRows(title, title, path.is_file(), lambda: (row(title, path),))


def main(titles: list[str]) -> None:
    """Measure, and write the rows into the page; rows of models that are not measured stay."""
    TABLE.update((titled_rows(title, row) for title in MODELS), titles)


if __name__ == "__main__":
    main(sys.argv[1:])
