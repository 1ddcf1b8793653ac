"""From a graph and the user's options to a plan that was checked, and what else would fit where it does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from thimble.codegen.kernels import KernelFamily
from thimble.codegen.ram_places import ALL_IN_FLASH, RamPlaces
from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.latency import measured_ms
from thimble.compiler.driver.memory_report import macs_executed
from thimble.compiler.driver.options import CompileOptions, InputFeed, Regions
from thimble.compiler.ir.errors import DoesNotFit, TooSlow, UsageError, quoted
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.passes.pipeline import FUSE_ADDITIONS, REMOVE_DEAD, run_passes
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.kernels import KernelChoices
from thimble.compiler.plan.late import write_late
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.order import reorder
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import MOST_ROWS, KernelPlan, plan_graph, plan_kernels
from thimble.compiler.plan.regions import Region
from thimble.targets.build import DEFAULT_STACK_BYTES
from thimble.targets.model import Target

T = TypeVar("T")

Progress = Callable[[str, float], None]
"""Hears what the planner does, and how much of it is done (0 to 1)."""

ShowProgress = Callable[[], AbstractContextManager[Progress]]

WORTH_WRITING_LATE = 1.07
"""A plan that takes so much of its bound is made again with convolutions that write late: it takes as long again."""

CYCLES_FOR_BYTES = 3
"""Percent more cycles that a percent fewer bytes may cost where additions are fused: kernels for that are fewer, and
may be slower than those of two nodes."""

ADVICE_EFFORT = 0.0
"""What would take less is told from layouts that are not searched for exactly: it may take a little less still."""


OTHER_BYTES = DEFAULT_STACK_BYTES + 512
"""Of the main RAM: the reserve for the stack and room for variables, which lie in no block of the arena."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Options under which a model would take `arena_bytes`, executing `mac_factor` times its multiply-accumulates."""

    flags: str
    arena_bytes: int
    mac_factor: float


@contextmanager
def silent() -> Iterator[Progress]:
    """No progress shown."""
    yield lambda what, part: None


def make_plan(
    graph: Graph,
    options: CompileOptions,
    limit_bytes: int | None = None,
    show: ShowProgress = silent,
    target: Target | None = None,
) -> Plan:
    """The plan of a graph that fits into a limit, or the smallest where none does, checked by the independent checker.

    It may lie in several memories of a target (`arena_regions`); without one, it is one block.
    """
    with show() as progress:
        plan = plan_graph(graph, options.rounding, plan_request(options, limit_bytes, target, progress))
    check_plan(graph, plan)
    return plan


def least_plan(
    graph: Graph,
    options: CompileOptions,
    make: Callable[[Graph], tuple[T, Plan]],
    cycles_of: Callable[[T], int] = lambda made: 0,
) -> tuple[T, Plan]:
    """What `make` makes of a graph.

    Where the least bytes are asked for, and a plan leaves many between its rows, what it makes of the graph with
    convolutions that write late (plan/late.py), if that takes less; and what it makes of the graph with fused
    additions, if the bytes that this saves are worth its cycles.
    """
    made, plan = make(graph)
    if options.objective is not Objective.SRAM:
        return made, plan
    made, plan = _late_if_less(graph, make, made, plan)
    # Patches gain nothing by it, and planning them twice takes long.
    is_tried = FUSE_ADDITIONS.name not in options.disabled_passes and options.schedule is not Schedule.PATCH
    fused = with_fused_additions(graph) if is_tried else graph
    if fused is not graph:
        other, other_plan = make(fused)
        if other_plan.bound_bytes < plan.arena_bytes:
            other, other_plan = _late_if_less(fused, make, other, other_plan)
        saved = 1 - other_plan.arena_bytes / plan.arena_bytes
        most_cycles = (1 + CYCLES_FOR_BYTES * saved) * cycles_of(made)
        if saved > 0 and cycles_of(other) <= most_cycles:
            return other, other_plan
    return made, plan


def _late_if_less(graph: Graph, make: Callable[[Graph], tuple[T, Plan]], made: T, plan: Plan) -> tuple[T, Plan]:
    """What was made of a graph, or what can be made of it with convolutions that write late, whichever takes less."""
    if plan.arena_bytes > WORTH_WRITING_LATE * plan.bound_bytes:
        late, late_plan = make(write_late(graph))
        if late_plan.arena_bytes < plan.arena_bytes:
            return late, late_plan
    return made, plan


def with_fused_additions(graph: Graph) -> Graph:
    """The graph with additions as parts of the convolutions before them, in the order of least memory; itself where
    there are none."""
    fused = run_passes(graph, (FUSE_ADDITIONS,))
    return graph if fused is graph else reorder(run_passes(fused, (REMOVE_DEAD,)))


def with_fused_depthwise(graph: Graph, positions: Collection[int]) -> Graph:
    """The graph with the depthwise convolutions that stand there as parts of the convolutions before them; itself
    where there are none."""
    fused = fuse_depthwise(graph, lambda position, site: position in positions)
    return graph if fused is graph else run_passes(fused, (REMOVE_DEAD,))


def plan_with_kernels(
    graph: Graph,
    choices: KernelChoices | None,
    options: CompileOptions,
    limit_bytes: int,
    show: ShowProgress,
    target: Target,
) -> KernelPlan:
    """The kernels of a graph and its plan, as `make_plan` says; without choices it keeps its own."""
    with show() as progress:
        asked = plan_request(options, limit_bytes, target, progress)
        made = plan_kernels(graph, choices, options.rounding, asked)
    check_plan(made.graph, made.plan)
    return made


def plan_request(
    options: CompileOptions,
    limit_bytes: int | None,
    target: Target | None,
    progress: Progress = lambda what, part: None,
) -> PlanOptions:
    """The user's options as the planner takes them, with the memories of a target and what kernels cost there."""
    regions = () if target is None else arena_regions(target, options)
    cycles = None if target is None else chip_costs(target, options)
    limit = None if target is None or options.max_ms is None else int(options.max_ms * target.clock_hz / 1000)
    asked = plan_options(options, limit_bytes, progress)
    return replace(asked, regions=regions, cycles=cycles, max_cycles=limit)


def plan_options(
    options: CompileOptions, limit_bytes: int | None, progress: Progress = lambda what, part: None
) -> PlanOptions:
    """The user's options as the planner takes them."""
    asked = PlanOptions(
        schedule=options.schedule,
        objective=options.objective,
        max_sram_bytes=limit_bytes,
        uses_limit=options.max_sram_bytes is not None,
        input_by_rows=options.input is InputFeed.ROWS,
        progress=progress,
    )
    return asked if options.plan_time_s is None else replace(asked, effort=options.plan_time_s)


def arena_regions(target: Target, options: CompileOptions) -> tuple[Region, ...]:
    """The memories over which the arena may be spread, the main RAM first; none where it must be one block.

    Stack and variables take some of the main RAM, constants that are copied some of the fastest one.
    """
    memories = target.arena_memories
    if options.regions is Regions.ONE or len(memories) == 1:
        return ()
    taken = {target.ram.name: OTHER_BYTES}
    taken[target.fast_ram.name] = taken.get(target.fast_ram.name, 0) + (options.fast_weights_bytes or 0)
    left = [(memory, memory.bytes - taken.get(memory.name, 0)) for memory in memories]
    return tuple(Region(memory.name, size, memory.load_wait_states) for memory, size in left if size > 0)


def sram_bytes(
    target: Target, options: CompileOptions, plan: Plan | None = None, places: RamPlaces = ALL_IN_FLASH
) -> int:
    """The bytes of the RAMs that an arena may lie in; with a plan, of those that its firmware uses."""
    if plan is None:
        used = {region.name for region in arena_regions(target, options)}
    else:
        used = {block.memory for block in plan.blocks}
    used.add(target.ram.name)
    if options.most_read_bytes or places.constants:
        used.add(target.fast_ram.name)
    have = sum(memory.bytes for memory in target.arena_memories if memory.name in used)
    code = target.code_ram
    return have + (code.bytes if code is not None and places.sources and not target.code_lies_in_ram else 0)


def sram_limit(
    target: Target, options: CompileOptions, plan: Plan | None = None, places: RamPlaces = ALL_IN_FLASH
) -> int:
    """The bytes of SRAM that the firmware may use; with a plan, in the RAMs that its firmware uses."""
    have = sram_bytes(target, options, plan, places)
    return min(have, options.max_sram_bytes or have)


def check_input_feed(graph: Graph, options: CompileOptions) -> None:
    """Raise UsageError where inputs are to be read by rows and none has more than one."""
    if options.input is InputFeed.RESIDENT:
        return
    for value in graph.values:
        if value.role is not Role.CONSTANT and value.type.rows > MOST_ROWS:
            raise UsageError(
                f"--input rows takes tensors of at most {MOST_ROWS} rows; {quoted(value.name)} is {value.type}."
            )
    inputs = [graph.values[i] for i in graph.inputs]
    if all(value.type.rows < 2 for value in inputs):
        listed = ", ".join(f"{quoted(v.name)} is {v.type}" for v in inputs[:4]) or "there is none"
        raise UsageError(
            f"--input rows needs an input of more than one row (all dimensions but the last two): {listed}."
        )


def check_ram(graph: Graph, plan: Plan, target: Target, options: CompileOptions) -> None:
    """Raise DoesNotFit where the arena alone is over the limit, naming the peak and what would take less."""
    limit = sram_limit(target, options, plan)
    if plan.arena_bytes <= limit:
        return
    raise DoesNotFit(
        f"The model does not fit {target.name}: its arena takes {plan.arena_bytes} bytes of SRAM, "
        f"{plan.arena_bytes - limit} more than {limit_text(limit, sram_bytes(target, options, plan))}; "
        f"the peak is {peak_text(graph, plan)}. {advice(graph, plan, target, options)}",
        plan.arena_bytes,
        limit,
    )


def check_limits(report: dict[str, Any], target: Target, options: CompileOptions) -> None:
    """Raise DoesNotFit where the firmware's SRAM or flash is over the user's or the chip's limit, TooSlow where an
    inference took longer than is allowed, or would at worst."""
    memory = report["memory"]
    for label, need, have, asked in (
        ("SRAM", memory["sram_total_bytes"], report["target"]["ram_bytes"], options.max_sram_bytes),
        ("flash", memory["flash_total_bytes"], target.flash_bytes, options.max_flash_bytes),
    ):
        limit = have if asked is None else min(have, asked)
        if need > limit:
            raise DoesNotFit(
                f"The firmware does not fit: it needs {need} bytes of {label}, "
                f"{need - limit} more than {limit_text(limit, have)}.",
                need,
                limit,
            )
    taken = measured_ms(report)
    if taken is not None:
        at_worst = " at worst," if "worst_case" in report["latency"] else ""
        check_time(taken, options, f"takes{at_worst} on the simulated chip{',' if at_worst else ''}")


def check_time(ms: float, options: CompileOptions, how: str) -> None:
    """Raise TooSlow where an inference takes longer than is allowed; `how` says how that is known."""
    if options.max_ms is not None and ms > options.max_ms:
        plain = options.kernels is KernelFamily.C
        hints = {
            "--objective latency": options.objective is not Objective.LATENCY,
            "--kernels auto": plain,
            "--tune": not (options.tune or plain),
            "a faster chip": True,
        }
        raise TooSlow(
            f"The model is too slow: an inference {how} {ms:g} ms, {options.max_ms:g} ms are allowed; "
            f"try {' or '.join(hint for hint, helps in hints.items() if helps)}."
        )


def limit_text(limit: int, have: int) -> str:
    """A limit in words."""
    return f"the {limit} bytes of the chip" if limit == have else f"the {limit} bytes asked for"


def plan_text(plan: Plan) -> str:
    """A plan in one line, with its distance from what is proved to be needed."""
    gap = plan.arena_bytes - plan.bound_bytes
    worth = f"{gap} above what is proved to be needed" if gap else "no layout of this schedule is smaller"
    blocks = ", ".join(f"{block.bytes} in {block.memory}" for block in plan.blocks)
    where = f" ({blocks})" if blocks else ""
    return f"Planned {plan.arena_bytes} bytes{where} in {len(plan.steps)} steps; {worth}"


def peak_text(graph: Graph, plan: Plan) -> str:
    """The step at which the most bytes are live, in words."""
    step = plan.steps[plan.peak_step]
    stage = plan.stages[step.stage]
    if stage.node is None:
        return f"where row {step.first} of the input is read"
    whole = step.first == stage.rows[0] and step.end == stage.rows[1]
    rows = "" if whole else f", row {step.first}"
    return f"at layer {stage.node} ({graph.nodes[stage.node].op.name}{rows})"


def advice(graph: Graph, plan: Plan, target: Target, options: CompileOptions) -> str:
    """What would take less SRAM than a plan, as a sentence."""
    better: list[Alternative] = []
    for alternative in alternatives(graph, target, options):
        if alternative.arena_bytes < min((a.arena_bytes for a in better), default=plan.arena_bytes):
            better.append(alternative)
    if not better:
        return "No other schedule takes less."
    told = ", ".join(
        f"{a.arena_bytes} bytes with {a.flags}" + (f" at {a.mac_factor:.2f} times the MACs" if a.mac_factor > 1 else "")
        for a in better
    )
    return f"It would take {told}."


def alternatives(graph: Graph, target: Target, options: CompileOptions) -> Iterator[Alternative]:
    """The smallest plans under other schedules, and with the input by rows; their kernels are plain C."""
    graph = replace(graph, specialise=None)
    for feed in dict.fromkeys((options.input, InputFeed.ROWS)):
        for schedule in (Schedule.ROWS, Schedule.PATCH):
            other = replace(options, input=feed, schedule=schedule, objective=Objective.SRAM)
            try:
                check_input_feed(graph, other)
            except UsageError:
                continue
            plan = plan_graph(graph, options.rounding, replace(plan_options(other, None), effort=ADVICE_EFFORT))
            pulled = " --input rows" if feed is InputFeed.ROWS else ""
            flags = f"--schedule {schedule.value} --objective sram{pulled}"
            yield Alternative(flags, plan.arena_bytes, macs_executed(graph, plan) / max(graph.macs, 1))
