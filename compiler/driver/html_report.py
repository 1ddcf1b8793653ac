"""report.html: one self-contained page from report.json, with the memory map drawn."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from thimble.codegen import c_text
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.charts import CapacityBar, Part, RankedBar, capacity_bar, percent, rank
from thimble.compiler.driver.flame import Flame, Frame, draw_flame
from thimble.compiler.driver.layer_costs import (
    FunctionBar,
    Layer,
    LayerShares,
    format_ms,
    format_percent,
    function_bars,
    inference_cycles,
    inference_frame,
    layer_rows,
    layer_shares,
)
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.regions import MAP_WIDTHS, Region, build_regions
from thimble.compiler.driver.rendering import render
from thimble.compiler.ir.errors import UsageError

Report = Mapping[str, Any]

SYMBOLS_SHOWN = 14
LONGEST_TEXT = 300
NOT_MEASURED = "not measured"

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, marks that turn the direction of writing, surrogates, separators of lines."""

RUNTIMES = {
    "integer reference": "integer reference (numpy)",
    "host": "C on this machine, under sanitizers",
    "target": "firmware on the simulated chip",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One outcome: `state` is good, bad or open; `badge` a word or two, `text` a sentence."""

    state: str
    badge: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """A figure that stands at the top of the page."""

    title: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template lays out."""

    title: str
    verdicts: tuple[Verdict, ...]
    cards: tuple[Card, ...]
    bars: tuple[CapacityBar, ...]
    regions: tuple[Region, ...]
    symbols: tuple[RankedBar, ...]
    symbols_left: int
    symbols_left_bytes: int
    unnamed_flash_bytes: int
    layers: tuple[Layer, ...]
    shares: LayerShares
    flames: Mapping[str, Flame]
    functions: tuple[FunctionBar, ...]
    latency: str
    commands: tuple[str, ...]


def write_html(folder: Path) -> Path:
    """Write report.html into a build folder; its path. Raises UsageError where report.json is incomplete."""
    build = open_build(folder)
    try:
        text = render_html(build.report)
    except (KeyError, TypeError, ValueError, jinja2.UndefinedError) as error:
        raise UsageError(f"{folder}/report.json is incomplete ({error}); compile again.") from error
    page = folder / "report.html"
    page.write_text(text, encoding="utf-8")
    return page


def render_html(report: Report) -> str:
    """The page of a report.json. The same report gives the same bytes."""
    cleaned = clean(report)
    filters: dict[str, Callable[..., str]] = {"count": _count, "percent": format_percent, "score": format_score}
    context = {"report": cleaned, "page": build_page(cleaned), "runtimes": RUNTIMES, "not_measured": NOT_MEASURED}
    return render("report.html.j2", filters, **context)


def _count(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:,}"


def build_page(report: Report) -> Page:
    """The contents of the page. Raises KeyError, TypeError or ValueError where the report lacks a field."""
    memory, symbols = report["memory"], report["flash_symbols"]
    layers = layer_rows(report)
    parts = [Part(s["name"], s["bytes"], "constants" if s["kind"] == "object" else "code") for s in symbols]
    shown, left, left_bytes = rank(parts, SYMBOLS_SHOWN)
    return Page(
        title=f"{report['model']['name']} on {report['target']['name']}",
        verdicts=(verification_verdict(report), fit_verdict(report), *accuracy_verdict(report)),
        cards=_cards(report),
        bars=_bars(report),
        regions=build_regions(report),
        symbols=shown,
        symbols_left=left,
        symbols_left_bytes=left_bytes,
        unnamed_flash_bytes=max(0, memory["flash_total_bytes"] - sum(s["bytes"] for s in symbols)),
        layers=layers,
        shares=layer_shares(layers, inference_cycles(report)),
        flames=_flames(inference_frame(report, layers)),
        functions=function_bars(report, layers),
        latency=latency_text(report),
        commands=repeat_commands(report),
    )


def _flames(inference: Frame | None) -> Mapping[str, Flame]:
    """The flame by page widths: lying on a wide page, standing on a narrow one; none of what was not measured."""
    if inference is None:
        return {}
    return {key: draw_flame(inference, width, standing=key == "narrow") for key, width in MAP_WIDTHS.items()}


def clean(value: Any) -> Any:
    """The report with its texts made printable and bounded: names come from the model file and may hold anything."""
    if isinstance(value, str):
        text = value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
        return "".join("\ufffd" if unicodedata.category(c) in _UNPRINTABLE else c for c in text)
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value


def format_score(value: float, metric: str) -> str:
    """An accuracy in its metric's own unit."""
    return f"{value:.2f}%" if "percent" in metric else f"{value:.4g}"


def verification_verdict(report: Report) -> Verdict:
    """Whether all runtimes gave the reference's bytes."""
    verify = report["verify"]
    if verify is None:
        return Verdict("open", "Not verified yet", "No outputs were compared with the reference so far.")
    samples, reference = f"{verify['samples']:,} samples", verify["reference"]
    if verify["mismatched_values"]:
        text = f"{verify['mismatched_values']:,} output values differ from {reference} over {samples}."
        return Verdict("bad", "Outputs differ", text)
    where = [RUNTIMES.get(r["runtime"], r["runtime"]) for r in verify["runtimes"]]
    text = f"Every output value over {samples} equals {reference}: {', '.join(where)}."
    if "target" not in [r["runtime"] for r in verify["runtimes"]]:
        return Verdict("open", "Verified, not on the chip", f"{text} The firmware itself was not run.")
    return Verdict("good", "Verified", text)


def fit_verdict(report: Report) -> Verdict:
    """Whether the firmware fits the chip's memories."""
    memory, target = report["memory"], report["target"]
    sram, flash = memory["sram_total_bytes"], memory["flash_total_bytes"]
    text = (
        f"SRAM {sram:,} of {target['ram_bytes']:,} bytes ({format_percent(percent(sram, target['ram_bytes']))}), "
        f"flash {flash:,} of {target['flash_bytes']:,} ({format_percent(percent(flash, target['flash_bytes']))})."
    )
    if sram > target["ram_bytes"] or flash > target["flash_bytes"]:
        return Verdict("bad", "Does not fit", text)
    if memory["stack_bytes"] is None:
        return Verdict("open", "Fits without its stack", f"{text} The stack was not measured.")
    return Verdict("good", "Fits", text)


def accuracy_verdict(report: Report) -> tuple[Verdict, ...]:
    """Whether the accuracy lost stays in the user's budget, where there is one and accuracy was measured."""
    accuracy, budget = report["accuracy"], report["build"]["max_drop_percent"]
    if accuracy is None or budget is None:
        return ()
    drop = accuracy["reference"] - accuracy["simulated"]
    text = f"Accuracy changed by {-drop:+.2f} points; a loss of {budget:g} is allowed."
    return (Verdict("bad", "Accuracy missed", text) if drop > budget else Verdict("good", "Accuracy kept", text),)


def _cards(report: Report) -> tuple[Card, ...]:
    memory, target, accuracy = report["memory"], report["target"], report["accuracy"]
    top1 = Card("Accuracy", NOT_MEASURED, "verify with labels to measure it")
    if accuracy is not None:
        metric, ours = accuracy["metric"], accuracy["simulated"]
        reference = format_score(accuracy["reference"], metric)
        note = f"{metric.replace(' percent', '')}, {accuracy['samples']:,} samples; reference {reference}"
        top1 = Card("Accuracy", format_score(ours, metric), note)
    return (
        Card("SRAM", f"{memory['sram_total_bytes']:,} B", f"arena {memory['arena_bytes']:,} B of it"),
        Card("Flash", f"{memory['flash_total_bytes']:,} B", f"weights and tables {memory['weights_bytes']:,} B of it"),
        Card("Work", f"{report['model']['macs_executed']:,}", "MACs executed per inference"),
        _latency_card(report["latency"], target),
        top1,
    )


def _latency_card(latency: Report, target: Report) -> Card:
    if latency["cycles"] is None:
        return Card("Latency", NOT_MEASURED, f"{target['core']} at {target['clock_hz'] / 1e6:g} MHz")
    note = f"{latency['cycles']:,} cycles at {target['clock_hz'] / 1e6:g} MHz ({_timing_label(target)})"
    if (worst := latency.get("worst_case")) is not None:
        note += f"; at worst {format_ms(worst['cycles'], target['clock_hz'])}"
    return Card("Latency", format_ms(latency["cycles"], target["clock_hz"]), note)


def _timing_label(target: Report) -> str:
    error = target["timing_error_percent"]
    return str(target["timing"]) if error is None else f"{target['timing']}, within {error:g}%"


def latency_text(report: Report) -> str:
    """One inference in cycles and milliseconds, what the figure is worth, and what the simulator says besides."""
    latency, target = report["latency"], report["target"]
    if latency["cycles"] is None:
        return f"Cycles: {NOT_MEASURED}."
    cycles, clock = latency["cycles"], target["clock_hz"]
    text = f"{cycles:,} cycles, {format_ms(cycles, clock)} at {clock / 1e6:g} MHz. Timing: {_timing_label(target)}."
    if (worst := latency.get("worst_case")) is not None:
        text += f" At worst, whatever the input: {worst['cycles']:,} cycles, {format_ms(worst['cycles'], clock)}."
    if latency.get("flash_misses") is not None:
        text += f" Flash misses in the whole run: {latency['flash_misses']:,}."
    if latency.get("unknown_encodings"):
        text += f" Instructions that the timing does not know: {', '.join(latency['unknown_encodings'])}."
    return text


def _copied(report: Report) -> str:
    """What start-up code copies to RAM, and what that was measured to bring."""
    memory, in_flash = report["memory"], report["in_ram"]["cycles_in_flash"]
    parts = [f"{kind} copied from flash {memory[f'fast_{kind}_bytes']:,}" for kind in ("weights", "code")]
    text = ", ".join(part for part in parts if not part.endswith(" 0"))
    saved = None if in_flash is None or report["latency"]["cycles"] is None else in_flash - report["latency"]["cycles"]
    return f"in it {text}" + (f": {saved:,} cycles less" if saved else "") if text else ""


def _bars(report: Report) -> tuple[CapacityBar, CapacityBar]:
    memory, target = report["memory"], report["target"]
    state, scratch = memory["state_bytes"], memory["scratch_bytes"]
    within = [f"input and output {memory['io_bytes']:,}"]
    within += [f"state {state:,}"] if state else []
    within += [f"scratch up to {scratch:,}"] if scratch else []
    stack_note = "measured on the simulator" if memory["stack_bytes"] is not None else f"{NOT_MEASURED}, not in the sum"
    sram = (
        Part("arena", memory["arena_bytes"], "arena", f"in it {', '.join(within)}"),
        Part("stack", memory["stack_bytes"] or 0, "stack", stack_note),
        Part("other static RAM", memory["static_ram_bytes"], "static", _copied(report)),
    )
    flash = (
        Part("weights and tables", memory["weights_bytes"], "constants"),
        Part("code", memory["code_bytes"], "code", "kernels, the model's functions, start-up, main"),
    )
    return capacity_bar("SRAM", sram, target["ram_bytes"]), capacity_bar("Flash", flash, target["flash_bytes"])


def repeat_commands(report: Report) -> tuple[str, ...]:
    """The commands that make and verify this build again; files by name only, since paths belong to one machine."""
    build, model, verify = report["build"], report["model"], report["verify"]
    compile_ = ["thimble", "compile", _file(f"{model['name']}.{model['source_format']}")]
    compile_ += ["-t", report["target"]["name"], "-o", "build"]
    if build["name"] != c_text.identifier(model["name"]):
        compile_ += ["--name", build["name"]]
    default = CompileOptions().recorded()
    for field, flag in _FLAGS.items():
        if build[field] != default[field]:
            compile_ += [flag, f"{build[field]:g}" if isinstance(build[field], float) else str(build[field])]
    for name in build["disabled_passes"]:
        compile_ += ["--disable-pass", name]
    compile_ += ["--tune"] if build["tune"] else []
    check = ["thimble", "verify", "build"]
    if verify is not None:
        ran = {row["runtime"] for row in verify["runtimes"]} & {"host", "target"}
        check += ["--data", _file(verify["data"])] if verify["data"].endswith(".npz") else []
        check += ["--samples", str(verify["samples"])]
        check += ["--on", *ran] if len(ran) == 1 else []
    return shlex.join(compile_), shlex.join(check), "thimble report build"


_FLAGS = {
    "rounding": "--rounding",
    "schedule": "--schedule",
    "objective": "--objective",
    "input": "--input",
    "io": "--io",
    "kernels": "--kernels",
    "regions": "--regions",
    "fast_weights_bytes": "--fast-weights",
    "max_sram_bytes": "--max-sram",
    "max_flash_bytes": "--max-flash",
    "plan_time_s": "--plan-time",
    "max_drop_percent": "--max-drop",
}
"""The options of a build by their fields in the report, but for those that can be given several times."""


def _file(name: str) -> str:
    """A file name that no command takes for an option."""
    return f"./{name}" if name.startswith("-") else name
