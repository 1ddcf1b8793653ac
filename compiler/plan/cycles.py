"""What kernels cost in cycles: an estimate, by which kernels and schedules are compared.

A kernel's cycles are a sum of what it has to do (kernel_work.py), each amount times a cost that was fitted to simulated
cycles of random networks (`make fit-costs`, which writes costs.json). docs/kernels.md holds the errors on networks that
were not in the fit. The driver measures what is chosen on the simulator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from thimble.compiler.plan.call_shape import Work, packed_entry
from thimble.compiler.plan.kernel_work import NodeWork

COSTS = Path(__file__).parent / "costs.json"
REFERENCE = "stm32l4r5zi"
"""The chip whose costs stand in for those of chips that were not measured."""

OTHERS = "others"
"""The entry of kernels that were not measured."""


@dataclass(frozen=True, slots=True, eq=False)
class CycleModel:
    """Cycles of kernels on one chip.

    `step` is what it takes to look up a step of a schedule by rows and call its function. `kernels` are the costs of
    each amount of work by a kernel's name, or by how the names of generated kernels begin; `others` stands for kernels
    without an entry. `narrow` is what kernels for int8 cost more that stand in kernels for fewer bits.
    """

    step: float
    kernels: Mapping[str, Work]
    others: Work
    narrow: Work = field(default_factory=dict)

    def cycles(self, work: NodeWork, rows: float | None = None) -> float:
        """Cycles of a whole node, or of one call of its function on some of its rows."""
        return sum(self._of_call(kernel, amounts) for kernel, amounts in work.calls(rows))

    def _of_call(self, kernel: str, amounts: Work) -> float:
        costs = self.kernels.get(self.entry(kernel), self.others)
        own = sum(cost * amounts.get(name, 0.0) for name, cost in costs.items())
        return own + sum(cost * amounts.get(name, 0.0) for name, cost in self.narrow.items())

    def entry(self, kernel: str) -> str:
        """The entry by which a kernel is priced."""
        return kernel_entry(kernel, self.kernels)


def kernel_entry(kernel: str, entries: Collection[str]) -> str:
    """The longest of the entries that is a kernel's name or begins it before an underscore.

    Plain kernels for elements of 2 and 4 bits are one entry for each family, or count as those for 8. A kernel that was
    not measured is taken to be as slow as the plain one of its operator, so that no measured one is given up for it:
    OTHERS where that was not measured either.
    """
    packed = packed_entry(kernel)
    if packed in entries:
        return packed
    parts = re.sub(r"_([sw])[24](?=_|$)", r"_\g<1>8", kernel).split("_")
    names = ["_".join(parts[:count]) for count in range(len(parts), 0, -1)]
    plain = (f"{name}_s8" for name in names)
    return next((name for name in (*names, *plain) if name in entries), OTHERS)


FAST_DATA = ", data in fast RAM"
"""Behind the name of a chip: what kernels cost there with all data in its fastest RAM, where that was measured."""


@cache
def cycle_model(target: str = REFERENCE, fast_data: bool = False) -> CycleModel:
    """The model of a chip by its name, or of the one like it that was measured; else that of the reference chip.

    With `fast_data` that of data in the chip's fastest RAM, where it was measured; kernels that were not measured there
    cost what they do in its main RAM.
    """
    record = json.loads(COSTS.read_text(encoding="utf-8"))
    targets, like = record["targets"], record["like"].get(target)
    main = targets.get(like, targets[REFERENCE])
    found = targets.get(f"{like}{FAST_DATA}", main) if fast_data else main
    narrow = found.get("narrow", targets[REFERENCE]["narrow"])
    return CycleModel(found["step"], main["kernels"] | found["kernels"], found[OTHERS], narrow)


def extra_cycles(model: CycleModel, work: NodeWork, calls: int, macs: int) -> int:
    """Cycles of a node in `calls` calls by rows that compute `macs`, beyond those of one call as a whole layer.

    `calls` and `macs` are sums over all stages of the node.
    """
    repeated = macs / work.size.macs if work.size.macs else 1.0
    by_rows = calls * (model.step + model.cycles(work, work.size.steps * repeated / calls))
    return round(by_rows - model.cycles(work))
