"""The RAM that a firmware leaves for constants and code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thimble.targets.build import DEFAULT_STACK_BYTES
from thimble.targets.model import Target


@dataclass(frozen=True, slots=True)
class Room:
    """RAM that is left: `limit_bytes` in all (None for no limit but the memories'), `fast_bytes` for constants.

    Code has `code_bytes`; where they are part of the RAM that firmware is linked to, it lies behind `code_begins` there
    and behind all data, which ends at `data_end` without constants; `constants_move_code` where these lie there too.
    """

    limit_bytes: int | None
    fast_bytes: int
    code_bytes: int
    code_begins: int | None = None
    data_end: int = 0
    constants_move_code: bool = False

    def holds(self, weights: int, code: int) -> bool:
        """Whether so many bytes of constants and of code fit."""
        if self.limit_bytes is not None and weights + code > self.limit_bytes:
            return False
        if weights > self.fast_bytes:
            return False
        if not code or self.code_begins is None:
            return code <= self.code_bytes
        end = self.data_end + (weights if self.constants_move_code else 0)
        return max(end, self.code_begins) + code <= self.code_begins + self.code_bytes


def room_of(static_bytes: int, target: Target, limit_bytes: int | None, apart: Mapping[str, int] | None = None) -> Room:
    """The RAM beside a firmware of so many static bytes, of which blocks `apart` lie in other memories, by name."""
    apart = apart or {}
    main = static_bytes - sum(apart.values()) + DEFAULT_STACK_BYTES
    fast, code = target.fast_ram, target.code_ram
    fast_bytes = target.ram_bytes - main if fast == target.ram else fast.bytes - apart.get(fast.name, 0)
    code_bytes = 0 if code is None else code.bytes
    if code is None or not target.code_lies_in_ram:
        return Room(limit_bytes, fast_bytes, code_bytes)
    begins = code.origin - target.ram.origin
    return Room(limit_bytes, fast_bytes, code_bytes, begins, main, fast == target.ram)
