"""No simulated cycle count is over its record by more than 1%: a slower kernel must be recorded to land."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.cycles import TOLERANCE, read_record
from tests.bench.models import measure, recorded_pairs
from thimble.compiler.ir.errors import ToolMissing

PAIRS = recorded_pairs()


@pytest.mark.parametrize(("target", "model"), PAIRS, ids=[f"{target}-{model.stem}" for target, model in PAIRS])
def test_cycles_are_not_over_the_record(target: str, model: Path) -> None:
    if not model.is_file():
        pytest.skip(f"no real models: {model} is absent (set THIMBLE_DATA)")
    try:
        report, _ = measure(model, target)
    except ToolMissing as error:
        pytest.skip(str(error))
    cycles, recorded = report["latency"]["cycles"], read_record()[target][model.stem]
    if cycles is None:
        pytest.skip(f"the simulator of {target} is not installed, so no cycles were counted")
    assert cycles <= recorded * (1 + TOLERANCE), (
        f"{cycles:,} cycles, {100 * cycles / recorded - 100:.1f}% over the record of {recorded:,}; "
        "if this is meant, run `make cycles` and say why in the commit"
    )
