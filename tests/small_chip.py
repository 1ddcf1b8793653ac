"""A made-up chip with two small RAMs, so that small networks have to be spread over both."""

from __future__ import annotations

from pathlib import Path

import pytest

from thimble.targets import model

CHIP = """
title = "A Cortex-M7 with little memory"
core = "cortex-m7"
clock_hz = 100_000_000
interrupts = 16
timing = "estimate"
reference = ["none"]

[[memory]]
name = "flash"
kind = "flash"
origin = 0x0800_0000
bytes = 0x4_0000
wait_states = 5

[[memory]]
name = "tcm"
kind = "ram"
origin = 0x2000_0000
bytes = {fast}
wait_states = 0
arena = true

[[memory]]
name = "sram"
kind = "ram"
origin = 0x2400_0000
bytes = {main}
wait_states = 4
"""


def use_small_chip(monkeypatch: pytest.MonkeyPatch, folder: Path, main_bytes: int, fast_bytes: int) -> str:
    """Make a chip of these RAM sizes the only target, in an empty folder; its name."""
    folder.mkdir()
    (folder / "small.toml").write_text(CHIP.format(main=main_bytes, fast=fast_bytes))
    monkeypatch.setattr(model, "CHIPS_DIR", folder)
    return "small"
