"""A plan of one block laid out anew in several memories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.accesses import count_accesses, owner
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.regions import Bodies, Region, spread
from thimble.compiler.plan.requests import Request, Slide


def spread_plan(
    graph: Graph,
    plan: Plan,
    requests: Sequence[Request],
    bodies: Sequence[int],
    slides: Sequence[Slide],
    regions: Sequence[Region],
    effort: float,
) -> Plan:
    """The plan with its buffers in those regions where all of them fit; as it is where they fit nowhere.

    `bodies` has the request in which each buffer lies. All rows of a tile stay in one region, since one table of
    offsets counts them from the start of one block.
    """
    views = {view.value: view.base for view in plan.views}
    counts = count_accesses(graph, plan.stages, plan.tiles, plan.steps, views, plan.buffers)
    owners = list(dict.fromkeys(map(owner, plan.buffers)))
    if not owners:
        return plan
    numbers = {key: number for number, key in enumerate(owners)}
    groups = {body: numbers[owner(buffer)] for buffer, body in zip(plan.buffers, bodies, strict=True)}
    asked = Bodies(
        requests=tuple(requests),
        slides=tuple(slides),
        groups=tuple(groups[body] for body in range(len(requests))),
        accesses=tuple(counts.get(key, 0) for key in owners),
    )
    found = spread(asked, regions, effort)
    if found is None:
        return plan
    return replace(
        plan,
        buffers=tuple(replace(b, offset=found.offsets[i]) for b, i in zip(plan.buffers, bodies, strict=True)),
        arena_bytes=found.blocks[-1].end,
        bound_bytes=found.bound_bytes,
        blocks=found.blocks,
    )
