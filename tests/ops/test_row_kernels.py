"""Row forms as C: a step on rows that lie apart, or over rows that die, gives the very rows of the whole layer."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.ops.equal_bytes import assert_same_bytes
from tests.ops.table import CASES
from tests.ops.test_rows import ROW_FORMS, nodes_of, operands
from tests.row_host import RowRun, run_rows_on_host

DRAWS_PER_ROW = 40
NODES_PER_ROW = 5
MAX_BYTES = 20000


@pytest.mark.parametrize("operator", ROW_FORMS)
def test_rows_of_c_equal_the_whole(operator: str, tmp_path: Path) -> None:
    runs, expected = [], []
    for case in (case for case in CASES if case.operator == operator):
        for _, graph, node, site, form, arrays in islice(nodes_of(case, DRAWS_PER_ROW), NODES_PER_ROW):
            if max(v.type.bytes for v in (*site.inputs, *site.outputs) if v is not None) <= MAX_BYTES:
                for over in (None, *range(len(form.overlaps))):
                    runs.append(RowRun(site, tuple(operands(graph, node, arrays)), over))
                    expected.append([arrays[i] for i in node.outputs])
    assert runs
    for run, results, wanted in zip(runs, run_rows_on_host(runs, tmp_path), expected, strict=True):
        for got, want in zip(results, wanted, strict=True):
            assert_same_bytes(got, want, f"{run.site.source} over {run.over}")
