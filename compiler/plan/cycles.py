"""What a schedule costs in cycles beyond layer by layer: an estimate, by which candidates are compared.

The driver measures the plans that are chosen on the simulator; here only their order matters. docs/memory.md holds
the estimates beside simulated cycles, and says how to measure anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thimble.compiler.plan.row_graph import RowNode


@dataclass(frozen=True, slots=True)
class OperatorCosts:
    """Cycles of an operator's kernel.

    `call` is what each call costs with the function around it: arguments, set-up, and the code that other layers have
    driven out of the flash cache; `row` what each row costs of an operator whose kernel is called once a row, and once
    a layer where it runs whole. `output` and `mac` make up the work itself, of which parts
    that are computed twice take more.
    """

    call: float = 0.0
    row: float = 0.0
    output: float = 0.0
    mac: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class KernelCosts:
    """Cycles of a family of kernels: `step` to look up a step and call its function, then by name of the operator.

    `sums` are operators that take rows as they come, `others` those that no entry names.
    """

    step: float
    operators: Mapping[str, OperatorCosts]
    sums: OperatorCosts
    others: OperatorCosts

    def of(self, node: RowNode) -> OperatorCosts:
        """The costs of a node's kernel."""
        if node.node is None:
            return OperatorCosts()
        return self.operators.get(node.op) or (self.sums if node.gathers else self.others)


PLAIN_C = KernelCosts(
    step=106,
    operators={
        "conv_2d": OperatorCosts(call=880, output=175, mac=10),
        "depthwise_conv_2d": OperatorCosts(call=880, output=257, mac=17),
    },
    sums=OperatorCosts(call=0),
    others=OperatorCosts(call=420, row=350, output=70),
)
"""The kernels of runtime_c on stm32l4r5zi at 5 wait states: Cortex-M4 with ART cache, gcc's -O2.

All are differences of simulated cycles between layer by layer and by rows, by layer, on the networks of docs/memory.md
(`python -m tests.bench.schedule_cycles`). Without wait states and cache a call of a convolution costs 157 instead of
880: the rest is its code being read from flash again. Reading weights again costs nothing measurable, since the 256
bytes of data lines do not hold them from one pixel to the next either. What is not here: on this chip these kernels
find a row in a table faster than in a tensor of one piece, by 2% in all; on others they are slower.
"""


def extra_cycles(costs: KernelCosts, node: RowNode, calls: int, macs: int) -> int:
    """Cycles of a node in `calls` calls by rows that compute `macs`, beyond those of one call as a whole layer.

    `calls` and `macs` are sums over all stages of the node.
    """
    kernel = costs.of(node)
    work = node.outputs * kernel.output + node.macs * kernel.mac
    calling = calls * costs.step + (calls - 1) * kernel.call + (node.steps - 1) * kernel.row
    repeated = (macs - node.macs) / node.macs if node.macs else 0.0
    return round(calling + repeated * work)
