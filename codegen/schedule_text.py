"""The schedule of a model in words, for the comment of its header."""

from __future__ import annotations

import textwrap
from collections import Counter

from thimble.codegen.lowered import Lowered
from thimble.compiler.plan.plan import Plan

WIDTH = 116


def schedule_text(plan: Plan, lowered: Lowered) -> list[str]:
    """Lines that say which layers run some rows at a time; none for models that run layer by layer."""
    streamed = sorted({layer.node for layer in lowered.layers if layer.streamed})
    parts = Counter(stage.node for stage in plan.stages)
    sentences = []
    if streamed:
        steps = sum(run.steps for run in lowered.schedule.runs)
        sentences.append(
            f"Schedule: {_listed('layer', streamed)} some rows at a time, in {steps} steps that are interleaved, "
            f"so that only rows that are still needed lie in the arena; all others one behind the other, whole."
        )
    split = [
        node for node, count in sorted(parts.items(), key=lambda item: item[0] or 0) if node is not None and count > 1
    ]
    if split:
        sentences.append(f"Computed in several parts, side by side or twice where needed: {_listed('layer', split)}.")
    if lowered.readers:
        sentences.append("The input is pulled by rows and never lies whole in the arena.")
    return textwrap.wrap(" ".join(sentences), WIDTH)


def _listed(noun: str, numbers: list[int]) -> str:
    """Numbers with ranges drawn together: layers 0 to 4, 6."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [str(a) if a == b else f"{a} to {b}" for a, b in spans]
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(texts)}"
