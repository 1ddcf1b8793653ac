"""The passes that every graph goes through, in order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UsageError
from thimble.compiler.ir.graph import Graph, verify
from thimble.compiler.passes.cancel_transposes import cancel_transposes
from thimble.compiler.passes.fold_activations import fold_activations
from thimble.compiler.passes.fold_constants import fold_constants
from thimble.compiler.passes.fold_padding import fold_padding
from thimble.compiler.passes.fuse_additions import fuse_additions
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.passes.merge_lookups import merge_lookups
from thimble.compiler.passes.merge_reshapes import merge_reshapes
from thimble.compiler.passes.read_unflattened import read_unflattened
from thimble.compiler.passes.remove_constant_channels import remove_constant_channels
from thimble.compiler.passes.remove_dead import remove_dead
from thimble.compiler.passes.separate_outputs import separate_outputs


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite with the name that messages and options use; the graph it gives computes the same bytes.

    What is `required` makes the graph fit for the stages that follow; everything else saves memory or time.
    """

    name: str
    rewrite: Callable[[Graph], Graph]
    required: bool = False


REMOVE_DEAD = Pass("remove-dead", remove_dead)

PASSES: tuple[Pass, ...] = (
    REMOVE_DEAD,  # what nobody reads must not hold back the others
    Pass("fold-constants", fold_constants),
    Pass("cancel-transposes", cancel_transposes),
    Pass("merge-reshapes", merge_reshapes),
    Pass("fold-padding", fold_padding),
    Pass("fold-activations", fold_activations),
    Pass("merge-lookups", merge_lookups),
    Pass("remove-constant-channels", remove_constant_channels),
    Pass("read-unflattened", read_unflattened),
    REMOVE_DEAD,
    Pass("separate-outputs", separate_outputs, required=True),
)
"""Removing dead nodes stands here twice; every other pass once."""

FUSE_ADDITIONS = Pass("fuse-additions", fuse_additions)
"""What the driver tries behind all others, and keeps where the plan then takes less (driver/planning.py)."""

FUSE_DEPTHWISE = Pass("fuse-depthwise", fuse_depthwise)
"""The same where cycles count; the driver chooses which ones (driver/depthwise_choice.py)."""


def choose_passes(disabled: Collection[str] = ()) -> tuple[Pass, ...]:
    """All passes but those named. Raises UsageError for a name that no pass has, or that of a required one."""
    optional = {step.name for step in (*PASSES, FUSE_ADDITIONS, FUSE_DEPTHWISE) if not step.required}
    unknown = sorted(set(disabled) - optional)
    if unknown:
        raise UsageError(f"'{unknown[0]}' is no pass to leave out; those are: {', '.join(sorted(optional))}.")
    return tuple(step for step in PASSES if step.name not in disabled)


def run_passes(graph: Graph, passes: tuple[Pass, ...] = PASSES) -> Graph:
    """Run the passes; after each the graph is verified, and the pass that broke it is named."""
    for step in passes:
        graph = step.rewrite(graph)
        try:
            verify(graph)
        except MalformedModel as error:
            raise ThimbleError(f"Bug in Thimble: pass {step.name} broke the graph: {error}") from error
    return graph
