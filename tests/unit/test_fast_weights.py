"""Which constants are worth fast memory: packed weights count as the weights that they hold."""

from __future__ import annotations

import pytest

from tests.unit.test_row_plans import chain
from thimble.codegen.kernels import KernelFamily, KernelSettings, choose_kernels
from thimble.codegen.layers import lower_graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.targets.model import load_target


@pytest.mark.parametrize(("family", "name"), [(KernelFamily.C, "weights"), (KernelFamily.AUTO, "packed")])
def test_weights_are_read_once_a_multiply_accumulate(family: KernelFamily, name: str) -> None:
    graph = choose_kernels(chain(), load_target("stm32l4r5zi"), KernelSettings(family))
    lowered = lower_graph(graph, plan_layers(graph), "net", Rounding.TFLM)
    arrays = {array.name: array for array in lowered.constants}
    for node in (0, 1, 2):
        array, site = arrays[f"net_layer_{node:02d}_{name}"], graph.sites[node]
        assert array.reads >= site.op.macs(site) * array.bytes // site.input(1).type.bytes  # equal layers share one
