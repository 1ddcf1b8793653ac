"""From a model file to a graph that is ready to be planned, with everything that a build of it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    import_model,
    integers_of,
    optimize,
    read_file,
    source_format,
    stored_model,
)
from thimble.compiler.driver.kernel_choice import kernel_settings
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import ShowProgress, check_input_feed, silent
from thimble.compiler.driver.quantize import Attempts, quantize_imported
from thimble.compiler.driver.ram_items import NOTHING_IN_RAM, InRam
from thimble.compiler.driver.tuning import tuned_kernels
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.support import check_supported
from thimble.compiler.plan.kernels import KernelLimit
from thimble.compiler.plan.plan import Plan
from thimble.quantize.quantizer import Progress
from thimble.targets.model import Target, load_target

Say = Callable[[str], None]
"""Hears what is done, a line a stage."""


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
    that with the kernels that its plan is for, made by `settings` within `kernel_limits`, one for each node; it is
    predicted to take `predicted_cycles`.

    `origin` is the float model behind a `source` that was quantized here; `data` is then the integers' TFLite file.
    `in_ram` is what was measured to be worth lying in RAM with the plan that is being built. Of `plain`, the nodes
    `fused_depthwise` are parts of those before them in `graph`.
    """

    data: bytes
    source_format: str
    source: Graph
    plain: Graph
    graph: Graph
    kernel_limits: tuple[KernelLimit, ...]
    settings: KernelSettings
    target: Target
    name: str
    options: CompileOptions
    origin: Origin | None = None
    in_ram: InRam = NOTHING_IN_RAM
    predicted_cycles: int | None = None
    fused_depthwise: tuple[int, ...] = ()

    def project(self, plan: Plan) -> Project:
        """The firmware project of a plan."""
        return self.project_with(self.in_ram.places, plan)

    def project_with(self, places: RamPlaces, plan: Plan) -> Project:
        """The same with what `places` says in RAM, and what the options say."""
        places = replace(places, most_read_bytes=self.options.most_read_bytes)
        return generate_project(self.graph, plan, self.target, self.name, self.options.rounding, places)


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
