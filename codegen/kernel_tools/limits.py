"""Limits of scratch."""

from __future__ import annotations

NO_LIMIT = 1 << 30
"""Bytes of scratch that no kernel reaches."""
