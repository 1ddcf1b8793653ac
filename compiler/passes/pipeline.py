"""The passes that every graph goes through, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thimble.compiler.ir.errors import MalformedModel, ThimbleError
from thimble.compiler.ir.graph import Graph, verify
from thimble.compiler.passes.separate_outputs import separate_outputs


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite with the name that messages and options use."""

    name: str
    rewrite: Callable[[Graph], Graph]


PASSES: tuple[Pass, ...] = (Pass("separate-outputs", separate_outputs),)


def run_passes(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """Run the passes; after each the graph is verified, and the pass that broke it is named."""
    for step in passes:
        graph = step.rewrite(graph)
        try:
            verify(graph)
        except MalformedModel as error:
            raise ThimbleError(f"Bug in Thimble: pass {step.name} broke the graph: {error}") from error
    return graph
