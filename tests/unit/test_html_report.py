"""report.html: figures as measured, hostile names harmless, self-contained, the same bytes each time."""

from __future__ import annotations

import copy
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.sample_report import Report, buffer, measured, sample_report, verified
from thimble.compiler.driver import demo
from thimble.compiler.driver.cli import cli
from thimble.compiler.driver.cli_options import compile_options
from thimble.compiler.driver.html_report import (
    accuracy_verdict,
    build_page,
    clean,
    fit_verdict,
    render_html,
    repeat_commands,
    verification_verdict,
    write_html,
)
from thimble.compiler.driver.layer_costs import format_percent
from thimble.compiler.ir.errors import UsageError

HOSTILE = "\"><script>alert(1)</script><img src=http://evil/x onerror=alert(2)>'</title></svg>{{7*7}}\u202e\x00\ud800"
VOID = {"meta", "wbr", "br", "img", "link", "input"}


@pytest.fixture
def report() -> Report:
    return sample_report()


class Reader(HTMLParser):
    """Elements with their attributes and the text of a page; checks that every element is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.pieces: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open
        self.text = re.sub(r"\s+", " ", " ".join(self.pieces))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.pieces.append(data)


def rows_of(page: str) -> list[list[str]]:
    """The cells of the layer table."""
    body = page.split("MACs/cycle</th>")[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", body)]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in rows]


def test_figures_of_the_report_stand_on_the_page(report: Report) -> None:
    text = Reader(render_html(report)).text
    for figure in ("2,048", "1,793", "2,272", "655,360", "208 B", "5,004", "2,097,152", "3,001", "2,003", "5,000"):
        assert figure in text
    assert "peak: step 1 mix, 1,793 B live" in text
    assert "is proved to be below 1,793 bytes, 255 under the top" in text
    assert report["model"]["sha256"] in text


def test_the_memory_bars_add_up_to_the_totals(report: Report) -> None:
    sram, flash = build_page(report).bars
    assert (sram.used, flash.used) == (report["memory"]["sram_total_bytes"], report["memory"]["flash_total_bytes"])


def test_the_flash_list_accounts_for_every_byte(report: Report) -> None:
    report["flash_symbols"] *= 3
    report["memory"]["flash_total_bytes"] = 20_000
    page = build_page(report)
    shown = sum(bar.part.amount for bar in page.symbols)
    assert shown + page.symbols_left_bytes + page.unnamed_flash_bytes == 20_000
    assert page.symbols_left == 36 - len(page.symbols)
    assert page.unnamed_flash_bytes > 0


def test_cycles_that_nobody_measured_never_read_as_zero(report: Report) -> None:
    page = render_html(report)
    assert all(row[-2:] == ["not measured", "not measured"] for row in rows_of(page))
    assert (build_page(report).shares.unit, build_page(report).flames) == ("MACs", {})
    assert "cycles were not measured" in page
    assert [card.value for card in build_page(report).cards][-2:] == ["not measured", "not measured"]


def test_measured_cycles_are_shown_with_their_label(report: Report) -> None:
    page = render_html(measured(report))
    assert [row[-2:] for row in rows_of(page)] == [
        ["16,000 66.7%", "0.250"],
        ["3,000 12.5%", "0.333"],
        ["1,000 4.2%", "–"],
    ]
    shares, flames = build_page(report).shares, build_page(report).flames
    assert (shares.unit, shares.strip) == ("cycles", ())
    for flame in flames.values():
        assert [b.frame.cycles for b in flame.blocks if b.level == 1] == [16_000, 3_000, 1_000, 4_000]
    assert [(total.op, total.layers, total.amount) for total in shares.ops] == [
        ("conv_2d", 2, 19_000),
        ("mean", 1, 1_000),
    ]
    text = Reader(page).text
    assert "0.20 ms" in text
    assert "24,000 cycles at 120 MHz (model, within 5%)" in text
    assert "One inference takes 24,000 cycles, 0.20 ms at 120 MHz. Timing: model, within 5%." in text
    assert "not measured" not in " ".join(row[-2] for row in rows_of(page))


def test_what_the_simulator_says_besides_is_shown(report: Report) -> None:
    measured(report)["latency"].update(flash_misses=4_321, unknown_encodings=["0xdeadbeef"])
    report["functions"] = [{"name": "thimble_conv_2d_s8", "cycles_per_inference": 15_900}]
    text = Reader(render_html(report)).text
    assert "Flash misses in the whole run: 4,321." in text
    assert "Instructions that the timing does not know: 0xdeadbeef." in text
    assert "15,900 66.2%" in text


def test_cycles_of_some_layers_only_do_not_make_a_picture_of_all(report: Report) -> None:
    measured(report)["layers"][1]["cycles"] = None
    assert (build_page(report).shares.unit, build_page(report).flames) == ("MACs", {})
    assert "not every layer&#39;s cycles" in render_html(report).replace("'", "&#39;")
    assert rows_of(render_html(report))[1][-2:] == ["not measured", "not measured"]


def test_verdicts_of_a_verification(report: Report) -> None:
    assert verification_verdict(report).badge == "Not verified yet"
    on_host = verification_verdict(verified(report, "integer reference", "host"))
    assert (on_host.state, on_host.badge) == ("open", "Verified, not on the chip")
    everywhere = verification_verdict(verified(report, "integer reference", "host", "target"))
    assert (everywhere.state, everywhere.badge) == ("good", "Verified")
    assert "tflite-micro 1.2" in everywhere.text
    differs = verification_verdict(verified(report, "host", "target", mismatched=9))
    assert (differs.state, differs.badge) == ("bad", "Outputs differ")
    assert "18 output values differ" in differs.text


def test_the_first_mismatch_names_its_layer(report: Report) -> None:
    text = Reader(render_html(verified(report, "host", mismatched=9))).text
    assert "sample 3, output 0, element 5: -15, expected 12." in text
    assert re.search(r"begins in layer 1 conv_2d \(operator 1 \(CONV_2D\)\), of whose output 41 elements differ", text)
    report["verify"]["first_mismatch"]["layer"] = None
    assert "begins in layer" not in Reader(render_html(report)).text


def test_verdicts_of_memory(report: Report) -> None:
    assert fit_verdict(report).state == "good"
    report["memory"]["stack_bytes"] = None
    assert fit_verdict(report).badge == "Fits without its stack"
    assert "not measured" in build_page(report).bars[0].segments[0].part.note + Reader(render_html(report)).text
    report["target"]["flash_bytes"] = 5003
    assert fit_verdict(report).badge == "Does not fit"


def test_verdicts_of_accuracy(report: Report) -> None:
    report["accuracy"] = {"metric": "top-1 percent", "reference": 90.5, "simulated": 88.0, "simulated_on": "target"}
    report["accuracy"]["samples"] = 200
    assert accuracy_verdict(report) == ()
    report["build"]["max_drop_percent"] = 2.5
    assert [v.state for v in accuracy_verdict(report)] == ["good"]
    report["build"]["max_drop_percent"] = 2.4
    assert [v.state for v in accuracy_verdict(report)] == ["bad"]
    text = Reader(render_html(report)).text
    assert "88.00%" in text
    assert "90.50%" in text


def hostile(report: Report) -> Report:
    verified(measured(report), "host", mismatched=2)
    report["model"]["name"] = report["layers"][1]["name"] = report["layers"][0]["op"] = HOSTILE
    report["layers"][2]["output"] = report["layers"][2]["kernel"] = report["flash_symbols"][0]["name"] = HOSTILE
    for item in report["memory"]["buffers"]:
        item["name"] = HOSTILE
    report["verify"]["data"] = report["verify"]["reference"] = HOSTILE
    report["verify"]["first_mismatch"]["layer"]["source"] = HOSTILE
    return report


def test_hostile_names_stay_text(report: Report) -> None:
    plain = {
        tag for tag, _ in Reader(render_html(verified(measured(copy.deepcopy(report)), "host", mismatched=2))).elements
    }
    page = render_html(hostile(report))
    reader = Reader(page)
    assert {tag for tag, _ in reader.elements} == plain
    assert not [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]
    assert "{{7*7}}" in reader.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", page)
    page.encode("utf-8")


def test_the_page_needs_nothing_else(report: Report) -> None:
    page = render_html(report)
    names = {key for _, attributes in Reader(page).elements for key in attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "action"}
    assert not re.search(r"https?:|url\(|@import|<script|<link|file:", page)
    assert "default-src 'none'" in page


def test_every_drawing_is_well_formed(report: Report) -> None:
    drawings = re.findall(r"<svg.*?</svg>", render_html(hostile(report)), re.S)
    assert len(drawings) == 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    assert render_html(report) == render_html(json.loads(json.dumps(report)))


def test_other_memories_get_maps_of_their_own(report: Report) -> None:
    report["memory"]["buffers"].append(buffer("weights_cache", "scratch", 0, 512, 1, 2, region="dtcm"))
    arena, other = build_page(report).regions
    assert (arena.name, arena.top_bytes, arena.peak_bytes) == ("arena", 2048, 1793)
    assert (other.name, other.top_bytes, other.peak_step) == ("dtcm", 512, "1 mix")
    assert "Memory map: dtcm" in render_html(report)


def test_steps_as_high_as_the_peak_are_named(report: Report) -> None:
    assert build_page(report).regions[0].equal_steps == ()
    report["memory"]["buffers"].append(buffer("scratch_2", "scratch", 10, 1078, 2, 2))
    assert build_page(report).regions[0].equal_steps == ("2 pool",)
    assert "live at once (as many as at 2 pool);" in Reader(render_html(report)).text


def by_rows(report: Report) -> Report:
    """The stem's rows of 100 bytes through two places, an eighth step for the mean."""
    steps = [[layer, row, row + 1] for row in range(4) for layer in (0, 1)]
    report["memory"]["schedule"] = [*steps, [2, 0, 1]]
    report["memory"].update(
        steps=9, peak_step=4, tiles=[{"layer": 0, "rows": [0, 4], "columns": [0, 8], "row_bytes": 64}]
    )
    rows = [buffer(f"activation_3_row_{i}", "activation", 100 * (i % 2), 100, 2 * i, 2 * i + 2) for i in range(4)]
    for number, row in enumerate(rows):
        row.update(tile=0, row=number)
    report["memory"]["buffers"] = [*rows, buffer("sums", "accumulator", 200, 32, 0, 8)]
    return report


def test_a_plan_by_rows_is_drawn_by_tensors(report: Report) -> None:
    (region,) = build_page(by_rows(report)).regions
    assert [(t.name, t.by_rows, t.most_live, t.most_live_bytes, t.bytes) for t in region.tensors] == [
        ("0 stem", True, 2, 200, 400),
        ("sums", False, 1, 32, 32),
    ]
    assert [(run.first, run.end, run.layers) for run in region.runs] == [(0, 8, (0, 1)), (8, 9, (2,))]
    assert (region.peak_step, region.peak_bytes) == ("4 (0 stem, row 2)", 232)
    page = Reader(render_html(report))
    assert "The 2 shapes are tensors" in page.text
    assert "by rows, 8 steps: 0 stem 1 mix" in page.text
    assert len([tag for tag, a in page.elements if tag == "path" and "rows" in a.get("class", "").split()]) == 4


def test_steps_of_layers_that_the_report_lacks_go_by_number(report: Report) -> None:
    report["layers"].pop()
    report["memory"]["peak_step"] = 2
    assert build_page(report).regions[0].peak_step == "2 (2, row 0)"


def test_a_model_without_steps_has_no_map(report: Report) -> None:
    report["layers"], report["memory"]["buffers"], report["memory"]["steps"] = [], [], 0
    page = build_page(report)
    assert (page.regions, page.layers, page.shares.strip) == ((), (), ())
    Reader(render_html(report))


@pytest.mark.parametrize("name", ["tiny_net", "My Net $(reboot)", "-o", "it's"])
def test_commands_are_ones_that_the_command_line_takes(report: Report, name: str) -> None:
    report["model"]["name"] = name
    report["build"].update(rounding="litert", max_drop_percent=1.5, io="int8", input="rows", schedule="patch")
    report["build"]["kernels"] = "c"
    report["build"].update(objective="sram", max_sram_bytes=5_000, plan_time_s=2.5, disabled_passes=["fold-padding"])
    for command in repeat_commands(verified(report, "integer reference", "host")):
        program, verb, *arguments = shlex.split(command)
        assert program == "thimble"
        context = cli.commands[verb].make_context(verb, arguments)
        if verb == "compile":
            assert context.params["model"].name == f"{name}.tflite"
            assert (context.params["rounding"], context.params["max_drop"]) == ("litert", 1.5)
            given = {name: context.params[name] for name in compile_options.__annotations__ if name in context.params}
            rest = {"schedule": "patch", "objective": "sram", "io": "int8", "rounding": "litert", "kernels": "c"}
            rest["disabled_passes"] = ("fold-padding",)
            again = compile_options(**{k: v for k, v in given.items() if k not in rest}, **rest)
            chosen = {"name", "kernel_limits", "winograd_bytes", "tuned"}  # by the compiler
            chosen |= {"additions_fused", "depthwise_fused"}
            assert again.recorded() == {key: value for key, value in report["build"].items() if key not in chosen}
        if verb == "verify":
            assert context.params["data"] == Path("eval set.npz")
            assert (context.params["samples"], context.params["on"]) == (7, "host")


def test_commands_leave_out_what_is_default(report: Report) -> None:
    compile_, verify, _ = repeat_commands(report)
    assert compile_ == "thimble compile tiny_net.tflite -t stm32l4r5zi -o build"
    assert verify == "thimble verify build"
    report["build"]["name"] = "other"
    assert repeat_commands(report)[0].endswith("--name other")
    verified(report, "host", "target")["verify"]["data"] = "random inputs, seed 0"
    assert repeat_commands(report)[1] == "thimble verify build --samples 7"


def test_small_shares_do_not_vanish() -> None:
    assert [format_percent(x) for x in (0, 0.01, 0.05, 12.34, 100)] == ["0.0%", "<0.1%", "0.1%", "12.3%", "100.0%"]


def test_texts_are_made_printable_and_short() -> None:
    cleaned = clean({"a": ["x\ny\u200f", 3, None], "b": "é" * 1000})
    assert cleaned["a"] == ["x\ufffdy\ufffd", 3, None]
    assert len(cleaned["b"]) == 300


def test_written_into_a_build_folder(report: Report, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(demo.model_path().read_bytes())
    (tmp_path / "report.json").write_text(json.dumps(report))
    page = write_html(tmp_path)
    assert page.read_text(encoding="utf-8") == render_html(report)
    assert str(tmp_path) not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["memory", "layers", "verify", "flash_symbols"])
def test_an_incomplete_report_is_named(report: Report, tmp_path: Path, missing: str) -> None:
    del report[missing]
    (tmp_path / "model.tflite").write_bytes(demo.model_path().read_bytes())
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(UsageError, match="incomplete"):
        write_html(tmp_path)
