"""`thimble compile` and `thimble analyze`: the stages from a model file to a build folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.codegen import c_text
from thimble.codegen.project import Project, generate_project
from thimble.compiler.driver.build_folder import (
    MODEL_FILE,
    import_model,
    integers_of,
    keep_float_model,
    new_build_folder,
    optimize,
    read_file,
    source_format,
    stored_model,
    write_report,
)
from thimble.compiler.driver.latency import merge_trace
from thimble.compiler.driver.quantize import QuantizedModel, QuantizeOptions, quantize_imported
from thimble.compiler.driver.report import build_report
from thimble.compiler.ir.errors import DoesNotFit, ToolMissing, UnsupportedOp, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.support import check_supported
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_layers
from thimble.quantize.quantizer import Progress
from thimble.targets.build import build_firmware
from thimble.targets.elf import read_sizes
from thimble.targets.model import Target, load_target
from thimble.targets.sim.simulate import simulate, time_limit_s

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What the user may choose. Sizes in bytes; None means the target's own limit."""

    name: str | None = None
    rounding: Rounding = Rounding.TFLM
    max_sram_bytes: int | None = None
    max_flash_bytes: int | None = None
    max_drop_percent: float | None = None
    disabled_passes: tuple[str, ...] = ()
    quantize: QuantizeOptions | None = None
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


def compile_model(
    model_path: Path,
    target_name: str,
    out: Path,
    options: CompileOptions | None = None,
    say: Say = lambda _: None,
    progress: Progress = lambda items, what, count: items,
) -> dict[str, Any]:
    """Model file to build folder; returns its report. `say` gets one line a stage.

    A float model is quantized first where the options say how: the build then holds the integer model as a TFLite
    file, with which everything behind it works, and the float model beside it, for accuracy to be compared with.
    Raises the ThimbleError of whatever stops it; the build folder is then as it was before.
    """
    options = options or CompileOptions()
    target = load_target(target_name)
    model, source, quantized = read_source(model_path, options, say, progress)
    kind = source_format(model_path) if quantized is None else "tflite"
    graph = optimize(source, options.disabled_passes)
    name = c_text.identifier(options.name or model_path.stem)
    say(f"Planning {len(graph.nodes)} layers")
    plan = make_plan(graph, options.rounding)
    check_ram(plan, target, options)
    say("Generating C")
    project = generate_project(graph, plan, target, name, options.rounding)
    with new_build_folder(out) as folder:
        for file, text in project.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / f"{MODEL_FILE}.{kind}").write_bytes(model)
        say(f"Building the firmware for {target.name}")
        images = build_firmware(folder, target, name)
        report = build_report(
            graph=graph,
            source=source,
            model=model,
            source_format=kind,
            plan=plan,
            target=target,
            project=project,
            sizes=read_sizes(images.chip_elf),
            rounding=options.rounding,
            max_drop_percent=options.max_drop_percent,
            disabled_passes=options.disabled_passes,
            input_shapes=dict(options.input_shapes),
        )
        say(f"Measuring one inference on the simulated {target.name}")
        measure(report, images.sim_elf, target, say)
        check_limits(report, target, options)
        if quantized is not None:
            keep_float_model(folder, report, stored_model(read_file(model_path), model_path), model_path)
            report["quantization"] = quantized.report
        write_report(folder, report)
    return report


def read_source(
    model_path: Path,
    options: CompileOptions,
    say: Say = lambda _: None,
    progress: Progress = lambda items, what, count: items,
) -> tuple[bytes, Graph, QuantizedModel | None]:
    """The model to build as a file and as a graph, and what quantization made it of a float model, where it did."""
    say("Reading the model")
    data = read_file(model_path)
    source = import_model(data, model_path, dict(options.input_shapes))
    if options.quantize is None:
        check_supported(source)
        return stored_model(data, model_path), source, None
    quantized = quantize_imported(source, options.quantize, say, progress)
    return quantized.file, integers_of(quantized.file, source), quantized


def make_plan(graph: Graph, rounding: Rounding) -> Plan:
    """The plan of a graph, checked by the independent checker."""
    plan = plan_layers(graph, rounding)
    check_plan(graph, plan)
    return plan


def emit(model_path: Path, target_name: str, what: str, options: CompileOptions) -> str:
    """One stage's result as text, for `--emit`: graph, plan or c (all generated files, one behind the other)."""
    from thimble.compiler.driver.printing import print_plan
    from thimble.compiler.ir.printer import print_graph

    _, source, _ = read_source(model_path, options)
    graph = optimize(source, options.disabled_passes)
    if what == "graph":
        return print_graph(graph)
    plan = make_plan(graph, options.rounding)
    if what == "plan":
        return print_plan(graph, plan)
    name = c_text.identifier(options.name or model_path.stem)
    project: Project = generate_project(graph, plan, load_target(target_name), name, options.rounding)
    return "".join(f"/* ==== {file} ==== */\n{text}\n" for file, text in project.files.items())


def measure(report: dict[str, Any], sim_elf: Path, target: Target, say: Say) -> None:
    """Merge stack and cycles of one inference on zeros into a report.

    What a missing tool keeps from being measured is said aloud and stays None: it never becomes a guess.
    """
    try:
        trace = simulate(sim_elf, target, sim_elf.parent, time_limit_s(target, 1), timed=True)
    except ToolMissing as error:
        say(f"Stack and cycles not measured: {error}")
        return
    merge_trace(report, trace)


def check_ram(plan: Plan, target: Target, options: CompileOptions) -> None:
    """Raise DoesNotFit where the arena alone is over the limit, naming the step at the peak."""
    limit = min(target.ram_bytes, options.max_sram_bytes or target.ram_bytes)
    if plan.arena_bytes > limit:
        raise DoesNotFit(
            f"The model does not fit {target.name}: its arena takes {plan.arena_bytes} bytes of SRAM, "
            f"{plan.arena_bytes - limit} more than {_limit_text(limit, target.ram_bytes)}; "
            f"the peak is at layer {plan.peak_step}.",
            plan.arena_bytes,
            limit,
        )


def check_limits(report: dict[str, Any], target: Target, options: CompileOptions) -> None:
    """Raise DoesNotFit where the firmware's SRAM or flash is over the user's or the chip's limit."""
    memory = report["memory"]
    for label, need, have, asked in (
        ("SRAM", memory["sram_total_bytes"], target.ram_bytes, options.max_sram_bytes),
        ("flash", memory["flash_total_bytes"], target.flash_bytes, options.max_flash_bytes),
    ):
        limit = have if asked is None else min(have, asked)
        if need > limit:
            raise DoesNotFit(
                f"The firmware does not fit: it needs {need} bytes of {label}, "
                f"{need - limit} more than {_limit_text(limit, have)}.",
                need,
                limit,
            )


def _limit_text(limit: int, have: int) -> str:
    return f"the {limit} bytes of the chip" if limit == have else f"the {limit} bytes asked for"


def analyze_model(model_path: Path, target_name: str, options: CompileOptions | None = None) -> dict[str, Any]:
    """Whether the model fits the target, by how many bytes, and every blocker; writes nothing.

    Flash is estimated as weights and tables alone, and marked so: only a build knows the code's size.
    """
    options = options or CompileOptions()
    target = load_target(target_name)
    try:
        data = read_file(model_path)
        source = import_model(data, model_path, dict(options.input_shapes))
        check_supported(source)
    except UnsupportedOp as error:
        return {"supported": False, "blockers": list(error.blockers) or [str(error)], "fits": None}
    graph = optimize(source, options.disabled_passes)
    plan = make_plan(graph, options.rounding)
    project = generate_project(graph, plan, target, "model", options.rounding)
    ram_limit = min(target.ram_bytes, options.max_sram_bytes or target.ram_bytes)
    flash_limit = min(target.flash_bytes, options.max_flash_bytes or target.flash_bytes)
    return {
        "supported": True,
        "blockers": [],
        "fits": plan.arena_bytes <= ram_limit and project.weights_bytes <= flash_limit,
        "target": target.name,
        "macs": source.macs,
        "macs_executed": graph.macs,
        "layers": len(graph.nodes),
        "arena_bytes": plan.arena_bytes,
        "arena_bound_bytes": plan.bound_bytes,
        "peak_layer": plan.peak_step,
        "sram_left_bytes": ram_limit - plan.arena_bytes,
        "weights_bytes": project.weights_bytes,
        "flash_left_bytes": flash_limit - project.weights_bytes,
        "note": "SRAM is the arena without stack, flash is constants without code; `thimble compile` measures both.",
    }


def parse_bytes(text: str) -> int:
    """A size as the command line takes it: 65536, 64K or 1M (powers of 1024). Raises UsageError."""
    factors = {"K": 1 << 10, "M": 1 << 20}
    digits, factor = (text[:-1], factors[text[-1].upper()]) if text and text[-1].upper() in factors else (text, 1)
    if not digits.isdigit() or int(digits) == 0:
        raise UsageError(f"'{text}' is no size: write bytes, or K or M behind the number, as 64K.")
    return int(digits) * factor


def parse_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """An input's name and shape as the command line takes them: NAME=1x3x32x32. Raises UsageError."""
    name, _, sizes = text.rpartition("=")
    dims = sizes.split("x")
    if not name or not all(dim.isdecimal() and 0 < int(dim) < 1 << 31 for dim in dims):
        raise UsageError(f"'{text}' is no input shape: write NAME=1x3x32x32.")
    return name, tuple(map(int, dims))
