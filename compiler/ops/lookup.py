"""LOOKUP: any function of one int8 value, as a table. No model file holds it; passes make it of chains of operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, same_input_output_type
from thimble.compiler.ops.fixed_point import Int64
from thimble.compiler.ops.unary import UnaryOperator


@dataclass(frozen=True, slots=True)
class Lookup(UnaryOperator):
    """Stored value q becomes `table[q + 128]`; 256 entries, each in [-128, 127]."""

    table: tuple[int, ...]

    name = "lookup"
    constraints = (input_types(DType.INT8), same_input_output_type)

    def compute(self, site: Site, x: Int64) -> Int64:
        return np.take(np.asarray(self.table, np.int64), x + 128)
