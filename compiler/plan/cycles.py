"""What a schedule costs in cycles beyond layer by layer: an estimate, by which candidates are compared.

The driver measures the plans that are chosen on the simulator; here only their order matters.
"""

from __future__ import annotations

from thimble.compiler.plan.row_graph import RowNode

CYCLES_PER_STEP = 60
"""To look up a step and its rows, and to call its function: 58 measured on Cortex-M4 by the row streaming prototype."""

CYCLES_PER_CHANNEL = 31
"""What a kernel call does once for each output channel: measured by the row streaming prototype, same core."""

CYCLES_PER_WEIGHT_LINE = 4
FLASH_LINE_BYTES = 32
"""Weights that a call reads again: cache lines of the STM32L4's flash at 4 wait states (RM0432, section 3.3.4)."""

CYCLES_PER_MAC = 3.5
"""The plain C kernels on Cortex-M4, 3.3 to 5.8 measured by the prototype, fewer in newer ones."""


def extra_cycles(node: RowNode, calls: int, macs: int) -> int:
    """Cycles of a node in `calls` calls that compute `macs`, beyond those of one call that computes it once.

    `calls` and `macs` are sums over all stages of the node.
    """
    setup = CYCLES_PER_STEP + CYCLES_PER_CHANNEL * (node.channels if node.macs else 0)
    lines = CYCLES_PER_WEIGHT_LINE * node.weight_bytes // FLASH_LINE_BYTES
    return (calls - 1) * (setup + lines) + int((macs - node.macs) * CYCLES_PER_MAC)
