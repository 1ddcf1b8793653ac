"""A report of a small build, for tests of what is made of reports."""

from __future__ import annotations

import hashlib
from typing import Any

from thimble.compiler.driver import demo
from thimble.compiler.driver.options import CompileOptions

Report = dict[str, Any]


def buffer(name: str, kind: str, offset: int, size: int, first: int, last: int, region: str = "arena") -> Report:
    place = {"region": region, "offset": offset, "bytes": size}
    return {"name": name, "kind": kind, **place, "first_step": first, "last_step": last, "tile": None, "row": None}


def layer(index: int, name: str, op: str, macs: int) -> Report:
    shown = {"kernel": f"{op}_s8", "output": "(1, 8, 8, 4) int8", "macs": macs}
    return {"index": index, "name": name, "op": op, **shown, "cycles": None, "instructions": None}


def sample_report() -> Report:
    """A report as `thimble compile` leaves it: three layers, nothing verified, no cycles."""
    return {
        "schema": 1,
        "thimble": "0.1.0",
        "build": {
            "name": "tiny_net",
            **CompileOptions().recorded(),
            "kernel_limits": [],
            "winograd_bytes": 0,
            "additions_fused": False,
            "depthwise_fused": [],
            "tuned": {},
        },
        "model": {
            "name": "tiny_net",
            "sha256": hashlib.sha256(demo.model_path().read_bytes()).hexdigest(),
            "source_format": "tflite",
            "macs": 5000,
            "macs_executed": 5000,
        },
        "target": {
            "name": "stm32l4r5zi",
            "title": "ST STM32L4R5ZI",
            "core": "cortex-m4f",
            "clock_hz": 120_000_000,
            "ram_bytes": 655_360,
            "flash_bytes": 2_097_152,
            "timing": "model",
            "timing_error_percent": 5.0,
        },
        "memory": _memory(),
        "in_ram": {"cycles_in_flash": None, "items": []},
        "latency": {"cycles": None, "instructions": None, "ms": None},
        "layers": [layer(0, "stem", "conv_2d", 4000), layer(1, "mix", "conv_2d", 1000), layer(2, "pool", "mean", 0)],
        "flash_symbols": [
            {"name": f"symbol_{i}", "bytes": 400 - i, "kind": "object" if i % 2 else "function"} for i in range(12)
        ],
        "verify": None,
        "accuracy": None,
    }


def _memory() -> Report:
    return {
        "arena_bytes": 2048,
        "arena_bound_bytes": 1793,
        "scratch_bytes": 64,
        "state_bytes": 0,
        "stack_bytes": 208,
        "static_ram_bytes": 16,
        "fast_weights_bytes": 0,
        "fast_code_bytes": 0,
        "io_bytes": 266,
        "sram_total_bytes": 2272,
        "weights_bytes": 3001,
        "code_bytes": 2003,
        "flash_total_bytes": 5004,
        "steps": 3,
        "peak_step": 1,
        "schedule": [[0, 0, 8], [1, 0, 8], [2, 0, 1]],
        "tiles": [],
        "buffers": [
            buffer("input_0", "input", 1024, 256, 0, 0),
            buffer("activation_3", "activation", 0, 1024, 0, 1),
            buffer("activation_6", "activation", 1343, 705, 1, 2),
            buffer("scratch_1", "scratch", 1024, 64, 1, 1),
            buffer("output_9", "output", 0, 10, 2, 2),
        ],
    }


def verified(report: Report, *runtimes: str, mismatched: int = 0) -> Report:
    rows = [
        {"runtime": name, "samples": 7, "mismatched_values": mismatched, "max_abs_diff": float(mismatched)}
        for name in runtimes
    ]
    first = None
    if mismatched:
        source = {"index": 1, "op": "conv_2d", "source": "operator 1 (CONV_2D)", "differing_elements": 41}
        place = {"runtime": runtimes[0], "sample": 3, "output": 0, "element": 5, "expected": 12.0, "got": -15.0}
        first = {**place, "layer": {**source, "element": 0, "expected": 1.0, "got": 2.0}}
    report["verify"] = {
        "samples": 7,
        "data": "eval set.npz",
        "reference": "tflite-micro 1.2",
        "mismatched_values": mismatched * len(runtimes),
        "max_abs_diff": float(mismatched),
        "first_mismatch": first,
        "runtimes": rows,
    }
    return report


def measured(report: Report) -> Report:
    for row, cycles in zip(report["layers"], (16_000, 3_000, 1_000), strict=True):
        row["cycles"] = cycles
    report["latency"] = {"cycles": 24_000, "instructions": 18_000, "ms": 0.2}
    return report
