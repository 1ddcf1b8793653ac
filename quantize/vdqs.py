"""QuantMCU: bits for the patches of a stage by outliers (VDPC) and by entropy against bit operations (VDQS).

Source: Tao et al., Value-Driven Mixed-Precision Quantization for Patch-Based Inference on Microcontrollers (arXiv
2401.13714), as reconstructed: the paper leaves open how entropies and bit operations are scaled; here each is a share
of what 8 bits have for the same feature map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import ceil, floor
from statistics import NormalDist

import numpy as np

from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.quantize.choices import WIDEST, Bits
from thimble.quantize.patches import Area, PatchStage, needed_areas, patch_macs

PHI = 0.96
"""Share of a normal distribution within which values are no outliers (the paper's phi)."""

LAMBDA = 0.4
"""Weight of entropy against bit operations (the paper's lambda)."""

OUTLYING_SHARE = 0.5
"""A position is an outlier's where more than this share of the calibration samples has outliers there."""


@dataclass(frozen=True, slots=True)
class PatchChoice:
    """Bits of the feature maps of each patch's branch, and whether its patch has outliers (which leaves 8 bits).

    `outlying` is the share of samples that have outliers in each patch, `limits` the least and the greatest stored
    value that is none. Three counts are bit operations of the whole network: `by_patches` in 8 bits, with the `chosen`
    bits, and, where classes are told from each sample at run time, the `mean_by_data`. At worst every patch of a sample
    has outliers then: that is `by_patches`. Where classes are told `by_data`, `outliers` are the patches that had some
    in every sample, and `chosen` is the mean.
    """

    bits: tuple[Bits, ...]
    outliers: tuple[bool, ...]
    outlying: tuple[float, ...]
    by_patches: float
    chosen: float
    mean_by_data: float
    limits: tuple[int, int]
    by_data: bool = False

    @property
    def worst(self) -> float:
        """Bit operations at worst, over what the values of a sample may be."""
        return self.by_patches if self.by_data else self.chosen


@dataclass
class PatchSearch:
    """The search over one int8 graph: `arrays` holds real values (N, *shape) of its feature maps over samples."""

    graph: Graph
    stage: PatchStage
    arrays: Mapping[int, Array]
    narrowed: Mapping[tuple[int, int], Array]  # the same maps of fewer bits, by value and bits
    widths: Sequence[int]
    sram_bytes: int | None = None
    weight: float = LAMBDA
    phi: float = PHI
    by_data: bool = False
    _entropies: dict[tuple[int, int], float] = field(default_factory=dict)

    def run(self) -> PatchChoice:
        """Classes of all patches, bits of all branches. Raises DoesNotFit where a branch is too large in any bits."""
        marks = np.stack([self.outliers(area) for area in self.stage.areas], axis=1)
        shares = marks.mean(axis=0)
        classes = tuple(bool(share == 1 if self.by_data else share > OUTLYING_SHARE) for share in shares)
        low = [self._branch(area) for area in self.stage.areas]
        tail = self._operations_outside()
        wide = [self.branch_operations(area, Bits()) for area in self.stage.areas]
        small = [self.branch_operations(area, bits) for area, bits in zip(self.stage.areas, low, strict=True)]
        shown = tuple(map(float, shares))
        whole = tail + sum(wide)
        mean = tail + sum(s * w + (1 - s) * n for s, w, n in zip(shown, wide, small, strict=True))
        bits = tuple(Bits() if outlier else chosen for outlier, chosen in zip(classes, low, strict=True))
        total = tail + sum(w if outlier else n for outlier, w, n in zip(classes, wide, small, strict=True))
        chosen = mean if self.by_data else total
        return PatchChoice(bits, classes, shown, whole, chosen, mean, self._limits, self.by_data)

    def outliers(self, area: Area) -> Array:
        """For each sample whether the patch that the area needs of the split feature map holds an outlier.

        An outlier lies outside of where a normal distribution with the map's mean and deviation, over all samples,
        has the share phi of its values.
        """
        split, quant = self.arrays[self.stage.split], self.graph.values[self.stage.split].quant
        (top, bottom), (left, right) = needed_areas(self.graph, self.stage, area)[self.stage.split]
        patch = split.reshape(len(split), *split.shape[-3:])[:, top:bottom, left:right]
        stored = np.rint(patch / quant.scale) + quant.zero_point
        low, high = self._limits
        return np.asarray(((stored < low) | (stored > high)).any(axis=(1, 2, 3)))

    @cached_property
    def _limits(self) -> tuple[int, int]:
        """The least and the greatest stored value of the split feature map that is no outlier."""
        split, quant = self.arrays[self.stage.split], self.graph.values[self.stage.split].quant
        low, high = DType.INT8.range
        if self.phi >= 1:
            return low, high
        reach = NormalDist().inv_cdf((1 + self.phi) / 2) * float(split.std())
        least = ceil((float(split.mean()) - reach) / quant.scale) + quant.zero_point
        greatest = floor((float(split.mean()) + reach) / quant.scale) + quant.zero_point
        return max(least, low), min(greatest, high)

    def _branch(self, area: Area) -> Bits:
        """The bits of a branch without outliers: the best score for each map, then fewer until neighbours fit."""
        maps = self._maps
        bits = {i: max((WIDEST, *self.widths), key=partial(self.score, i)) for i in maps}
        while self.sram_bytes is not None:
            over = self._too_large(area, bits)
            if over is None:
                break
            lower = [(i, b) for i in over if i in maps for b in self.widths if b < bits[i]]
            if not lower:
                need = self._pair_bytes(area, over, bits)
                raise DoesNotFit(f"A patch takes {need} bytes in the fewest bits.", need, self.sram_bytes)
            gained = [self.score(i, b) - self.score(i, bits[i]) for i, b in lower]
            index, width = lower[int(np.argmax(gained))]
            bits[index] = width
        return Bits({i: b for i, b in bits.items() if b != WIDEST})

    @property
    def _maps(self) -> tuple[int, ...]:
        """Feature maps of the branches that may have fewer bits: from the split map to before the merged one."""
        made = [i for position in self.stage.nodes for i in self.graph.nodes[position].outputs]
        return tuple(i for i in (self.stage.split, *made) if i != self.stage.merge)

    def score(self, index: int, bits: int) -> float:
        """S(i, b) = -lambda Omega(i, b) + (1 - lambda) Phi(i, b): entropy lost and bit operations saved, as shares."""
        lost = 1 - self._entropy(index, bits) / max(self._entropy(index, WIDEST), 1e-9)
        return -self.weight * lost + (1 - self.weight) * (1 - bits / WIDEST)

    def _entropy(self, index: int, bits: int) -> float:
        """Bits of information in a value of a feature map."""
        if (index, bits) not in self._entropies:
            values = self.arrays[index] if bits == WIDEST else self.narrowed[index, bits]
            _, counts = np.unique(values, return_counts=True)
            shares = counts / counts.sum()
            self._entropies[index, bits] = float(-(shares * np.log2(shares)).sum())
        return self._entropies[index, bits]

    def _too_large(self, area: Area, bits: Mapping[int, int]) -> tuple[int, ...] | None:
        """The maps of the first node of a branch that do not fit beside each other."""
        assert self.sram_bytes is not None
        for position in self.stage.nodes:
            node = self.graph.nodes[position]
            maps = tuple(i for i in (*node.inputs, *node.outputs) if i is not None and i in self.arrays)
            if self._pair_bytes(area, maps, bits) > self.sram_bytes:
                return maps
        return None

    def _pair_bytes(self, area: Area, maps: Sequence[int], bits: Mapping[int, int]) -> int:
        areas, total = needed_areas(self.graph, self.stage, area), 0
        for index in maps:
            (top, bottom), (left, right) = areas[index]
            channels = self.graph.values[index].type.shape[-1]
            total += (bottom - top) * (right - left) * -(-channels * bits.get(index, WIDEST) // WIDEST)
        return total

    def branch_operations(self, area: Area, bits: Bits) -> float:
        """Bit operations of a branch; weights have 8 bits."""
        macs = patch_macs(self.graph, self.stage, area)
        return sum(count * WIDEST * bits.value(self.graph.nodes[p].inputs[0]) for p, count in macs.items())

    def _operations_outside(self) -> float:
        """Bit operations of all nodes that are not in the stage."""
        inside = set(self.stage.nodes)
        return sum(
            float(site.op.macs(site)) * WIDEST * WIDEST for p, site in enumerate(self.graph.sites) if p not in inside
        )
