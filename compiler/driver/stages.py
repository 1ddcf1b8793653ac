"""`thimble compile` and `thimble analyze`: the stages from a model file to a build folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from thimble.codegen import c_text
from thimble.codegen.kernels import KernelFamily, KernelSettings
from thimble.codegen.project import Project, generate_project
from thimble.codegen.ram_places import RamPlaces
from thimble.compiler.driver.bit_costs import chip_firmware
from thimble.compiler.driver.build_folder import (
    MODEL_FILE,
    empty_folder,
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
from thimble.compiler.driver.kernel_choice import kernel_choices, kernel_settings
from thimble.compiler.driver.latency import merge_trace, milliseconds
from thimble.compiler.driver.memory_report import macs_executed, peak_layer
from thimble.compiler.driver.narrow_choice import Bought, Price, in_int8, kinds_of
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import (
    ShowProgress,
    check_input_feed,
    check_limits,
    check_ram,
    check_time,
    least_plan,
    peak_text,
    plan_text,
    plan_with_kernels,
    silent,
    sram_limit,
)
from thimble.compiler.driver.quantize import AS_GIVEN, Attempts, quantize_imported
from thimble.compiler.driver.ram_tuning import NOTHING_IN_RAM, InRam, choose_for_ram, in_ram_text, measure_costs
from thimble.compiler.driver.report import build_report
from thimble.compiler.driver.tuning import tuned_kernels
from thimble.compiler.driver.worst_case import merge_worst_case
from thimble.compiler.ir.errors import DoesNotFit, ToolMissing, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.support import check_supported
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.plan_cycles import predicted_cycles
from thimble.quantize.prices import BitsExhausted
from thimble.quantize.quantizer import Progress
from thimble.targets.build import build_firmware
from thimble.targets.elf import read_sizes
from thimble.targets.model import Target, load_target
from thimble.targets.sim.simulate import simulate, time_limit_s

Say = Callable[[str], None]

ROOM_ATTEMPTS = 3
"""Plans that may be built to make room for stack and static RAM, which only a build knows."""


def untracked(items: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    """No progress shown."""
    return items


@dataclass(frozen=True, slots=True)
class Origin:
    """The float model that was quantized, as a build folder keeps it, and what quantization says of itself."""

    data: bytes
    path: Path
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is being compiled: `source` is its own graph, `plain` what is left of it to execute, and `graph`
    that with the kernels that its plan is for, made by `settings` within `scratch_limits` bytes of scratch for each
    node; it is predicted to take `predicted_cycles`.

    `origin` is the float model behind a `source` that was quantized here; `data` is then the integers' TFLite file.
    `in_ram` is what was measured to be worth lying in RAM with the plan that is being built.
    """

    data: bytes
    source_format: str
    source: Graph
    plain: Graph
    graph: Graph
    scratch_limits: tuple[int, ...]
    settings: KernelSettings
    target: Target
    name: str
    options: CompileOptions
    origin: Origin | None = None
    in_ram: InRam = NOTHING_IN_RAM
    predicted_cycles: int | None = None

    def project(self, plan: Plan) -> Project:
        """The firmware project of a plan."""
        return self.project_with(self.in_ram.places, plan)

    def project_with(self, places: RamPlaces, plan: Plan) -> Project:
        """The same with what `places` says in RAM, and what the options say."""
        places = replace(places, most_read_bytes=self.options.most_read_bytes)
        return generate_project(self.graph, plan, self.target, self.name, self.options.rounding, places)

    def build(self, plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
        """Generate and build a plan's firmware in an empty folder, and measure it; the report."""
        say("Generating C")
        project = self.project(plan)
        for file, text in project.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / f"{MODEL_FILE}.{self.source_format}").write_bytes(self.data)
        say(f"Building the firmware for {self.target.name}")
        images = build_firmware(folder, self.target, self.name)
        report = build_report(
            graph=self.graph,
            source=self.source,
            model=self.data,
            source_format=self.source_format,
            plan=plan,
            target=self.target,
            project=project,
            sizes=read_sizes(images.chip_elf),
            options=self.options,
            scratch_limits=self.scratch_limits,
            settings=self.settings,
            in_ram=self.in_ram,
            predicted_cycles=self.predicted_cycles,
        )
        if self.origin is not None:
            keep_float_model(folder, report, self.origin.data, self.origin.path)
            report["quantization"] = self.origin.figures
        say(f"Measuring one inference on the simulated {self.target.name}")
        measure(report, images.sim_elf, self.target, say)
        if plan.guards:
            say("Measuring both branches of all flags")
            merge_worst_case(report, project, self.target)
        return report


def open_model(
    model_path: Path,
    target_name: str,
    options: CompileOptions,
    say: Say = lambda _: None,
    track: Progress = untracked,
    show: ShowProgress = silent,
    attempts: Attempts | None = None,
) -> Model:
    """Read a model, quantize it where the options say how, run the passes, and settle how kernels are made.

    What earlier `attempts` of the same build found is taken over.
    """
    target = load_target(target_name)
    data = read_file(model_path)
    source = import_model(data, model_path, dict(options.input_shapes))
    kind, stored, origin = source_format(model_path), stored_model(data, model_path), None
    if options.quantize is None:
        check_supported(source)
    else:
        firmware_of = partial(chip_firmware, target=target.name, options=options)
        quantized = quantize_imported(source, options.quantize, say, track, firmware_of, attempts)
        origin = Origin(stored, model_path, quantized.report)
        kind, stored, source = "tflite", quantized.file, integers_of(quantized.file, source)
    passed, _ = optimize(source, options.disabled_passes, options.io)
    check_input_feed(passed, options)
    name = c_text.identifier(options.name or model_path.stem)
    settings = kernel_settings(passed, target, options)
    if options.tune and settings.family is KernelFamily.C:
        say("--tune has no kernels to choose from: --kernels c keeps plain C")
    elif options.tune:
        say("Measuring kernels")
        settings = replace(settings, tuned=tuned_kernels(passed, target, options, settings.compact, show, say))
    return Model(stored, kind, source, passed, passed, (), settings, target, name, options, origin)


def compile_model(
    model_path: Path,
    target_name: str,
    out: Path,
    options: CompileOptions | None = None,
    say: Say = lambda _: None,
    show: ShowProgress = silent,
    track: Progress = untracked,
) -> dict[str, Any]:
    """Model file to build folder; returns its report. `say` gets one line a stage, `show` the progress of planning,
    `track` that of quantizing.

    A float model is quantized first where the options say how: the build then holds the integer model as a TFLite
    file, with which everything behind it works, and the float model beside it, for accuracy to be compared with.
    Where tensors may have fewer bits, they get them until the firmware, code and stack included, is within the flash
    and the SRAM asked for.
    Raises the ThimbleError of whatever stops it; the build folder is then as it was before.
    """
    options, attempts = options or CompileOptions(), Attempts()
    for _ in range(ROOM_ATTEMPTS):
        try:
            return _compile_once(model_path, target_name, out, options, say, show, track, attempts)
        except DoesNotFit as error:
            smaller = with_fewer_bytes(options, error)
            if smaller is None:
                raise
            say(f"Fewer bits: the firmware takes {error.need_bytes} bytes, {error.have_bytes} are allowed")
            options = smaller
    return _compile_once(model_path, target_name, out, options, say, show, track, attempts)


def with_fewer_bytes(options: CompileOptions, error: DoesNotFit) -> CompileOptions | None:
    """Options under which a search leaves less of what a firmware lacks, constants or arena; None where none can."""
    search = None if options.quantize is None else options.quantize.search
    if search is None or isinstance(error, BitsExhausted):
        return None
    lacking = error.need_bytes - error.have_bytes
    if error.have_bytes == options.max_flash_bytes and (search.flash_bytes or 0) > lacking:
        smaller = replace(search, flash_bytes=(search.flash_bytes or 0) - lacking)
    elif error.have_bytes == options.max_sram_bytes and search.takes_sram and (search.sram_bytes or 0) > lacking:
        smaller = replace(search, sram_bytes=(search.sram_bytes or 0) - lacking)
    else:
        return None
    assert options.quantize is not None
    return replace(options, quantize=replace(options.quantize, search=smaller))


def _compile_once(
    model_path: Path,
    target_name: str,
    out: Path,
    options: CompileOptions,
    say: Say,
    show: ShowProgress,
    track: Progress,
    attempts: Attempts,
) -> dict[str, Any]:
    say("Reading the model")
    model = open_model(model_path, target_name, options, say, track, show, attempts)
    limit = sram_limit(model.target, options)
    say(f"Planning {len(model.graph.nodes)} layers")
    model, plan = plan_model(model, limit, show)
    say(plan_text(plan))
    bought = bits_bought(model, plan, limit, show)
    wider = without_lost_bits(options, model, bought)
    if wider is not None:
        for lost in (found for found in bought if found.loses):
            say(f"{lost.text} They are left at 8.")
        report = _compile_once(model_path, target_name, out, wider, say, show, track, attempts)
        report["narrow"] = [found.row(found.loses) for found in bought]
        write_report(out, report)
        return report
    check_ram(model.graph, plan, model.target, options)
    check_time(predicted_ms(model), options, "is predicted to take")
    with new_build_folder(out) as folder:
        report = build_in_ram(model, plan, folder, say)
        limit = sram_limit(model.target, options, plan)
        for _ in range(ROOM_ATTEMPTS):
            beyond = report["memory"]["sram_total_bytes"] - plan.arena_bytes
            if plan.arena_bytes <= limit - beyond or limit <= beyond:
                break
            say(f"Planning again: stack and static RAM take {beyond} bytes besides the arena")
            model, smaller = plan_model(model, limit - beyond, show)
            if smaller.arena_bytes >= plan.arena_bytes:
                break
            plan = smaller
            limit = sram_limit(model.target, options, plan)
            say(plan_text(plan))
            empty_folder(folder)
            report = build_in_ram(model, plan, folder, say)
        check_limits(report, model.target, options)
        report["narrow"] = [found.row(rejected=False) for found in bought]
        write_report(folder, report)
    return report


def build_in_ram(model: Model, plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """Build a plan's firmware with those constants and kernels in RAM that were measured to be worth it; the report."""
    model = with_ram(model, plan, say)
    report, in_flash = model.build(plan, folder, say), model.in_ram.cycles_in_flash
    cycles = report["latency"]["cycles"]
    if model.in_ram.items and in_flash is not None and (cycles is None or cycles >= in_flash):
        say(f"Weights and code in RAM take {cycles} cycles, in flash {in_flash}: they stay there")
        empty_folder(folder)
        report = replace(model, in_ram=InRam((), in_flash)).build(plan, folder, say)
    return report


def with_ram(model: Model, plan: Plan, say: Say = lambda _: None) -> Model:
    """The model with what is to lie in RAM beside a plan's arena, measured where the options say so."""
    if not model.options.measures_ram:
        return replace(model, in_ram=NOTHING_IN_RAM)
    say("Measuring weights and code in RAM")
    costs = measure_costs(lambda places: model.project_with(places, plan), model.graph, model.target, say)
    model = replace(model, in_ram=choose_for_ram(costs, plan, model.target, model.options))
    say(in_ram_text(model.in_ram))
    return model


def bits_bought(model: Model, plan: Plan, limit_bytes: int, show: ShowProgress) -> tuple[Bought, ...]:
    """What fewer bits of activations and of weights bought a model, by plans of the same model in int8."""
    kinds = kinds_of(model.plain)
    if not kinds:
        return ()
    costs, rounding = cycle_model(model.target.name), model.options.rounding
    narrow, found = Price.of(model.graph, plan, rounding, costs), []
    for kind in kinds:
        wide = replace(model, plain=in_int8(model.plain, kind))
        try:
            wide, planned = plan_model(wide, limit_bytes, show)
        except DoesNotFit:
            found.append(Bought(kind, narrow, None))
            continue
        found.append(Bought(kind, narrow, Price.of(wide.graph, planned, rounding, costs)))
    return tuple(found)


def without_lost_bits(options: CompileOptions, model: Model, bought: Sequence[Bought]) -> CompileOptions | None:
    """Options under which a search leaves in 8 bits what would make the firmware both larger and slower; None where
    there is none of that, or no search chose it."""
    quantize = options.quantize
    lost = {found.kind for found in bought if found.loses}
    if not lost or quantize is None or quantize.search is None:
        return None
    search = quantize.search.without(lost)
    if search is None and model.origin is not None and model.origin.figures["method"] == AS_GIVEN:
        return replace(options, quantize=None)
    return replace(options, quantize=replace(quantize, search=search))


def plan_model(model: Model, limit_bytes: int, show: ShowProgress = silent) -> tuple[Model, Plan]:
    """The model with its kernels, and its plan."""
    make = partial(_plan_graph, model, limit_bytes, show)
    made, plan = least_plan(model.plain, model.options, make, _predicted_cycles)
    allowed = model.options.max_ms
    if allowed is not None and predicted_ms(made) > allowed and made.plain is not model.plain:
        return make(model.plain)  # other forms of the graph save bytes, and take too long
    return made, plan


def _predicted_cycles(model: Model, plan: Plan) -> int:
    return predicted_cycles(model.graph, plan, model.options.rounding, cycle_model(model.target.name))


def _plan_graph(model: Model, limit_bytes: int, show: ShowProgress, plain: Graph) -> tuple[Model, Plan]:
    """The model with a graph that it can be left to execute, its kernels, and its plan."""
    choices = kernel_choices(plain, model.target, model.options.rounding, model.settings)
    made = plan_with_kernels(plain, choices, model.options, limit_bytes, show, model.target)
    planned = replace(model, plain=plain, graph=made.graph, scratch_limits=made.scratch_limits)
    cycles = _predicted_cycles(planned, made.plan) if made.plan.guards else made.cycles  # the planner's: all branches
    return replace(planned, predicted_cycles=cycles), made.plan


def emit(model_path: Path, target_name: str, what: str, options: CompileOptions) -> str:
    """One stage's result as text, for `--emit`: graph, plan or c (all generated files, one behind the other)."""
    from thimble.compiler.driver.printing import print_plan
    from thimble.compiler.ir.printer import print_graph

    model = open_model(model_path, target_name, options)
    if what == "graph":
        return print_graph(model.graph)
    model, plan = plan_model(model, sram_limit(model.target, options))
    if what == "plan":
        return print_plan(model.graph, plan)
    project = with_ram(model, plan).project(plan)
    return "".join(f"/* ==== {file} ==== */\n{text}\n" for file, text in project.files.items())


def predicted_ms(model: Model) -> float:
    """The time that an inference of a planned model is predicted to take."""
    return milliseconds(model.predicted_cycles or 0, model.target.clock_hz)


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


def analyze_model(
    model_path: Path, target_name: str, options: CompileOptions | None = None, show: ShowProgress = silent
) -> dict[str, Any]:
    """Whether the model fits the target, by how many bytes, and every blocker; writes nothing.

    Flash is estimated as weights and tables alone, and marked so: only a build knows the code's size.
    """
    options = options or CompileOptions()
    try:
        model = open_model(model_path, target_name, options, show=show)
    except UnsupportedOp as error:
        return {"supported": False, "blockers": list(error.blockers) or [str(error)], "fits": None}
    model, plan = plan_model(model, sram_limit(model.target, options), show)
    ram_limit = sram_limit(model.target, options, plan)
    graph, target = model.graph, model.target
    project = model.project(plan)
    flash_limit = min(target.flash_bytes, options.max_flash_bytes or target.flash_bytes)
    return {
        "supported": True,
        "blockers": [],
        "fits": plan.arena_bytes <= ram_limit and project.weights_bytes <= flash_limit,
        "target": target.name,
        "macs": model.source.macs,
        "macs_executed": macs_executed(graph, plan),
        "layers": len(graph.nodes),
        "arena_bytes": plan.arena_bytes,
        "arena_bound_bytes": plan.bound_bytes,
        "steps": len(plan.steps),
        "predicted_ms": predicted_ms(model),
        "peak_layer": peak_layer(plan),
        "peak": peak_text(graph, plan),
        "sram_left_bytes": ram_limit - plan.arena_bytes,
        "weights_bytes": project.weights_bytes,
        "flash_left_bytes": flash_limit - project.weights_bytes,
        "note": "SRAM is the arena without stack, flash is constants without code; `thimble compile` measures both.",
    }
