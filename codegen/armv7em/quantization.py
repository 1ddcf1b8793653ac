"""QUANTIZE of floats on Armv7E-M with an FPU: a multiplication in place of the division, where the byte is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.codegen.armv7em.core import Core
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

LARGEST_QUOTIENT = 500
"""Quotients up to here are made by the multiplication: well below 512, and beyond what int8 holds."""


def specialise_quantize(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """thimble_quantize_dsp for thimble_quantize_s8; None without FPU, or where a constant is no normal float."""
    scale = np.float32(site.output().quant.scale)
    with np.errstate(all="ignore"):
        inverse, largest = np.float32(1) / scale, np.float32(LARGEST_QUOTIENT) * scale
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    raised = inverse * np.float32(1 << 16)
    if not core.has_floats or not all(tiny <= value <= huge for value in (scale, inverse, raised, largest)):
        return None
    params = (*call.params, ("inverse", float(raised)), ("largest_bits", int(largest.view(np.uint32))))
    return replace(call, kernel="quantize_dsp", params=params)
