"""How the steps of a stage stand in C: the rows that a call works on, and the row of an operand that it reads."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.ir.operator import Span
from thimble.compiler.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class StageSteps:
    """The steps of a stage: `calls` calls of `rows_a_call` of its `rows` rows; the last call may work on fewer.

    Stages that do nothing, as those of views, may have no call.
    """

    rows: int
    rows_a_call: int
    calls: int

    @property
    def streamed(self) -> bool:
        """Whether the stage takes several calls, so that its function is told which one it is."""
        return self.calls > 1

    @property
    def declarations(self) -> tuple[str, ...]:
        """The local variables `first` and `end` of a call, where they are more than `step` itself."""
        if not self.streamed or self.rows_a_call == 1:
            return ()
        first = f"const int32_t first = {self.rows_a_call} * step;"
        if self.rows % self.rows_a_call == 0:
            return (first,)
        behind = f"first + {self.rows_a_call}"
        return (first, f"const int32_t end = {behind} < {self.rows} ? {behind} : {self.rows};")

    @property
    def first(self) -> str:
        """The first row of a call, as a C expression."""
        return "0" if not self.streamed else "step" if self.rows_a_call == 1 else "first"

    @property
    def end(self) -> str:
        """The row behind the last one of a call, as a C expression."""
        if not self.streamed:
            return str(self.rows)
        if self.rows_a_call == 1:
            return "step + 1"
        return f"first + {self.rows_a_call}" if self.rows % self.rows_a_call == 0 else "end"

    @property
    def loop(self) -> str:
        """The head of a loop over the rows of a call, or nothing where a call has one row."""
        return "" if self.rows_a_call == 1 else f"for (int32_t y = {self.first}; y < {self.end}; y++)"

    @property
    def row(self) -> str:
        """The row of the loop, as a C expression."""
        return "y" if self.loop else self.first


def steps_of_stages(plan: Plan) -> list[StageSteps]:
    """The steps of each stage: the last may have fewer rows than the others, and they must follow each other."""
    spans: list[list[Span]] = [[] for _ in plan.stages]
    for step in plan.steps:
        spans[step.stage].append((step.first, step.end))
    return [_stage_steps(stage, steps) for stage, steps in enumerate(spans)]


def _stage_steps(stage: int, spans: list[Span]) -> StageSteps:
    if not spans:
        return StageSteps(0, 1, 0)
    rows = spans[-1][1]
    rows_a_call = spans[0][1] - spans[0][0]
    expected = [(first, min(first + rows_a_call, rows)) for first in range(0, rows, max(rows_a_call, 1))]
    if spans != expected and len(spans) > 1:
        raise ValueError(f"the steps of stage {stage} have different numbers of rows")
    return StageSteps(rows, rows_a_call, len(spans))


def row_expression(needs: tuple[Span, ...], y: str) -> str:
    """The row of an operand that row `y` of the output is made of, as a C expression."""
    firsts = [first for first, _ in needs]
    if any(end - first != 1 for first, end in needs):
        raise ValueError("a kernel that works on single rows needs one row of each operand")
    if not any(firsts):
        return "0"
    pace = firsts[1] - firsts[0] if len(firsts) > 1 else 0
    if all(row == firsts[0] + pace * number for number, row in enumerate(firsts)):
        scaled = y if pace == 1 else f"{pace} * {f'({y})' if ' ' in y else y}"
        return f"{scaled} + {firsts[0]}" if firsts[0] and pace else scaled if pace else str(firsts[0])
    repeats = firsts.count(0)
    if repeats and all(row == number // repeats for number, row in enumerate(firsts)):
        return f"{y} / {repeats}"
    raise ValueError("the rows of an operand do not pass by at an even pace")
