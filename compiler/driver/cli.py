"""The command line: one function a verb, all of them thin."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import thimble
from thimble.compiler.driver import tables
from thimble.compiler.driver.analyze import analyze_model
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.cli_options import compile_options, model_options, place_options, verb
from thimble.compiler.driver.options import CompileOptions, parse_input_shape
from thimble.compiler.driver.planning import check_time
from thimble.compiler.driver.quantize_options import quantization, quantize_options, search_options
from thimble.compiler.driver.stages import compile_model, emit
from thimble.compiler.driver.ui import Ui
from thimble.compiler.ir.errors import AccuracyMissed, DoesNotFit, OutputsDiffer, ThimbleError, UnsupportedOp

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
EXIT_CODES = """
\b
Exit codes: 0 ok, 1 bug in Thimble, 2 usage, 3 unsupported model, 4 does not fit, 5 outputs differ,
6 accuracy budget missed, 7 malformed model, 8 a tool is missing.
"""


@click.group(context_settings=CONTEXT, epilog=EXIT_CODES)
@click.version_option(thimble.__version__, prog_name="thimble")
def cli() -> None:
    """Thimble turns a trained int8 network into verified firmware for a microcontroller."""


@cli.command("compile")
@model_options
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The build folder to write.")
@click.option("--max-drop", type=click.FloatRange(min=0), help="Most top-1 percent that `verify` may find lost.")
@quantize_options(required=False)
@click.option("--emit", "what", type=click.Choice(["graph", "plan", "c"]), help="Print one stage and write nothing.")
@verb
def compile_command(
    model: Path,
    target: str,
    out: Path | None,
    max_drop: float | None,
    method: str | None,
    calibration: Path | None,
    data: Path | None,
    symmetric: bool,
    activations: str,
    what: str | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Compile MODEL to a C99 project and firmware for a chip."""
    asked = search_options(given, given["max_flash"], given["max_sram"])
    quantize = quantization(method, calibration, data, symmetric, activations, max_drop, asked)
    options = compile_options(max_drop=max_drop, quantize=quantize, **given)
    if what is not None:
        click.echo(emit(model, target, what, options), nl=False)
        return
    if out is None:
        raise click.UsageError("Missing option '-o' / '--out': the build folder to write.")
    ui = Ui(as_json, quiet)
    report = compile_model(model, target, out, options, ui.say, ui.planning, ui.track)
    ui.show(report, tables.compile_view(report))
    ui.text(f"Firmware: {out}/build/{report['build']['name']}.elf   next: thimble verify {out}")


@cli.command("quantize")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The .onnx or .tflite to write.")
@click.option("--max-drop", type=click.FloatRange(min=0), help="Most points that may be lost against float on --data.")
@click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    metavar="NAME=1x3x32x32",
    help="Shape of an ONNX input with dynamic dimensions; can be given several times.",
)
@click.option("--max-flash", metavar="SIZE", help="Most bytes of constants that a search may leave, such as 40K.")
@click.option("--max-sram", metavar="SIZE", help="Most bytes of arena, or with --price bitops of live activations.")
@click.option("-t", "--target", help="The chip whose cycles and plans a search counts; default: stm32l4r5zi.")
@quantize_options(required=True)
@verb
def quantize_command(
    model: Path,
    out: Path,
    max_drop: float | None,
    input_shapes: tuple[str, ...],
    method: str,
    calibration: Path,
    data: Path | None,
    symmetric: bool,
    activations: str,
    max_flash: str | None,
    max_sram: str | None,
    target: str | None,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Quantize a float MODEL to int8 and write it as QDQ ONNX or as TFLite, with the figures of every layer."""
    from thimble.compiler.driver.quantize import quantize_to

    ui = Ui(as_json, quiet)
    if max_drop is not None and data is None:
        raise click.UsageError("--max-drop needs --data: labelled samples to measure the loss on.")
    asked = search_options(given, max_flash, max_sram)
    options = quantization(method, calibration, data, symmetric, activations, max_drop, asked)
    assert options is not None
    options = replace(options, input_shapes=tuple(map(parse_input_shape, input_shapes)), target=target)
    report = quantize_to(model, out, options, ui.say, ui.track)
    ui.show(report, tables.quantization_view(report))


@cli.command("analyze")
@model_options
@click.option("--frontier", is_flag=True, help="Build and simulate plans of all sizes: bytes of SRAM against cycles.")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Draw the frontier into a file.")
@verb
def analyze_command(
    model: Path, target: str, frontier: bool, svg: Path | None, as_json: bool, quiet: bool, **given: Any
) -> None:
    """Say whether MODEL fits a chip, by how many bytes, and every unsupported node in one pass. Writes nothing."""
    ui = Ui(as_json, quiet)
    options = compile_options(**given)
    if svg is not None and not frontier:
        raise click.UsageError("--svg draws the frontier: give --frontier too.")
    if frontier:
        _show_frontier(ui, model, target, options, svg)
        return
    result = analyze_model(model, target, options, ui.planning)
    ui.show(result, tables.analysis_table(result))
    if not result["supported"]:
        raise UnsupportedOp(f"{model} holds {len(result['blockers'])} blockers.", ())
    check_time(result["predicted_ms"], options, "is predicted to take")
    if not result["fits"]:
        short = max(-result["sram_left_bytes"], -result["flash_left_bytes"])
        raise DoesNotFit(f"{model} does not fit {target}: {short} bytes are missing.", result["arena_bytes"], 0)


def _show_frontier(ui: Ui, model: Path, target: str, options: CompileOptions, svg: Path | None) -> None:
    from thimble.compiler.driver.frontier import measure_frontier, write_svg

    result = measure_frontier(model, target, options, ui.track, ui.planning)
    ui.show(result, tables.frontier_table(result))
    if svg is not None:
        write_svg(result, svg)
        ui.text(f"Drawn: {svg}")


@cli.command("verify")
@click.argument("build", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="An .npz with x and, for accuracy, y; default: random inputs."
)
@place_options
@verb
def verify_command(build: Path, data: Path | None, on: str, samples: int | None, as_json: bool, quiet: bool) -> None:
    """Compare the reference runtime, the integer reference, C on the host and firmware on the chip, byte by byte."""
    from thimble.compiler.driver.verify import verify_build

    ui = Ui(as_json, quiet)
    report = verify_build(build, data, on, samples, ui.say, ui.track)
    ui.show(report, tables.verify_table(report))
    check_verified(report)


def check_verified(report: dict[str, Any]) -> None:
    """Raise OutputsDiffer or AccuracyMissed where a verification says so."""
    verify, accuracy = report["verify"], report["accuracy"]
    if verify["mismatched_values"]:
        raise OutputsDiffer(tables.mismatch_text(verify))
    budget = report["build"]["max_drop_percent"]
    if budget is not None and accuracy is not None and accuracy["reference"] - accuracy["simulated"] > budget:
        raise AccuracyMissed(
            f"Accuracy fell from {accuracy['reference']}% to {accuracy['simulated']}%, more than the {budget} allowed."
        )


@cli.command("run")
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--inputs", required=True, type=click.Path(path_type=Path), help="An .npz keyed by input name, or x.")
@click.option("--outputs", required=True, type=click.Path(path_type=Path), help="The .npz to write.")
@place_options
@verb
def run_command(
    build: Path, inputs: Path, outputs: Path, on: str, samples: int | None, as_json: bool, quiet: bool
) -> None:
    """Run inputs through the firmware and write its outputs."""
    from thimble.compiler.driver.run import run_build

    ui = Ui(as_json, quiet)
    result = run_build(build, inputs, outputs, on, samples, ui.say)
    ui.show({key: value for key, value in result.items() if key != "report"}, tables.run_table(result))


@cli.command("profile")
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="An .npz with x; default: random inputs.")
@click.option(
    "--samples", type=click.IntRange(min=1), default=1, show_default=True, help="Inferences to take the mean of."
)
@click.option("--compare", type=click.Path(path_type=Path), help="Another profiled build, to stand beside this one.")
@verb
def profile_command(
    build: Path, data: Path | None, samples: int, compare: Path | None, as_json: bool, quiet: bool
) -> None:
    """Count cycles by layer and by function on the simulated chip."""
    from thimble.compiler.driver.profile import compare_builds, profile_build

    ui = Ui(as_json, quiet)
    report = profile_build(build, data, samples, ui.say)
    if compare is not None:
        result = compare_builds(report, compare)
        ui.show(result, tables.compare_table(result))
        return
    ui.show({key: report[key] for key in ("target", "latency", "layers", "functions")}, tables.profile_view(report))


@cli.command("simulate")
@click.argument("elf", type=click.Path(path_type=Path))
@click.option("-t", "--target", required=True, help="The chip whose simulator runs it; `thimble targets` lists them.")
@click.option("--symbols", is_flag=True, help="Cycles by function, from the ELF's symbols.")
@click.option("--trace", metavar="LOW:HIGH", help="Trace the instructions of an address range (Arm).")
@click.option("--trace-out", type=click.Path(path_type=Path), default="trace.txt", show_default=True, help="Its file.")
@verb
def simulate_command(
    elf: Path, target: str, symbols: bool, trace: str | None, trace_out: Path, as_json: bool, quiet: bool
) -> None:
    """Run any ELF on a chip's simulator and count its cycles.

    The ELF must end by semihosting and be linked for the simulator's addresses (sim.ld of a generated project);
    for some chips their own do too. It can open any file of this computer: run only what you would run as a program.
    """
    from dataclasses import asdict

    from thimble.compiler.driver.profile import parse_range, simulate_elf

    ui = Ui(as_json, quiet)
    measured = simulate_elf(elf, target, None if trace is None else parse_range(trace, trace_out.resolve()))
    data = asdict(measured)
    if not symbols:
        data.pop("functions")
    ui.show(data, tables.trace_view(measured, symbols))


@cli.command("report")
@click.argument("build", type=click.Path(path_type=Path))
@verb
def report_command(build: Path, as_json: bool, quiet: bool) -> None:
    """Write report.html: one self-contained page with the memory map drawn."""
    from thimble.compiler.driver.html_report import write_html

    ui = Ui(as_json, quiet)
    page = write_html(build)
    ui.show(open_build(build).report if as_json else None, f"Report: {page}")


@cli.command("targets")
@verb
def targets_command(as_json: bool, quiet: bool) -> None:
    """List the chips that firmware can be built for."""
    data = tables.target_rows()
    Ui(as_json, quiet).show(data, tables.targets_table(data))


@cli.command("ops")
@click.option("--markdown", is_flag=True, help="Print SUPPORTED_OPS.md.")
@verb
def ops_command(markdown: bool, as_json: bool, quiet: bool) -> None:
    """List the supported operators with their limits."""
    from thimble.compiler.driver import ops_page

    if markdown:
        click.echo(ops_page.markdown(), nl=False)
        return
    data = ops_page.rows()
    Ui(as_json, quiet).show(data, tables.ops_table(data))


@cli.command("doctor")
@verb
def doctor_command(as_json: bool, quiet: bool) -> None:
    """Say which tools are here, which are missing, and the line that installs them."""
    from thimble.compiler.driver.doctor import check_tools

    ui = Ui(as_json, quiet)
    result = check_tools()
    ui.show(result, tables.doctor_table(result))
    for line in result["install"]:
        ui.text(f"Install the missing ones with:  {line}")
    if result["install"]:
        sys.exit(8)


@cli.command("demo")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True)
@click.option("-t", "--target", default="stm32l4r5zi", show_default=True)
@verb
def demo_command(out: Path, target: str, as_json: bool, quiet: bool) -> None:
    """Compile the shipped Fashion-MNIST model, run 200 images on the simulated chip, verify and report."""
    from thimble.compiler.driver import demo
    from thimble.compiler.driver.html_report import write_html
    from thimble.compiler.driver.verify import verify_build

    ui = Ui(as_json, quiet)
    compile_model(demo.model_path(), target, out, None, ui.say, ui.planning)
    report = verify_build(out, demo.samples_path(), "both", None, ui.say, ui.track)
    page = write_html(out)
    ui.show(report, tables.demo_view(report))
    ui.text(f"Report: {page}")
    check_verified(report)


def main() -> None:
    """Entry point: errors become one sentence on stderr and the documented exit code."""
    try:
        cli.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("thimble: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except ThimbleError as error:
        click.echo(f"thimble: {error}", err=True)
        for blocker in getattr(error, "blockers", ())[:1000]:
            click.echo(f"  {blocker}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
