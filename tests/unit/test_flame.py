"""The flame: lengths are cycles, parts lie within their wholes side by side, frames say what the report says."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thimble.compiler.driver.flame import LEAST_DRAWN, Flame, Frame, draw_flame
from thimble.compiler.driver.layer_costs import (
    format_ms,
    function_bars,
    inference_frame,
    layer_rows,
    layer_shares,
)
from thimble.compiler.driver.memory_map import CHARACTER_WIDTH, Rect

WIDTH = 1000.0
TOLERANCE = 1e-6


def frame(cycles: int, *children: Frame, name: str = "work") -> Frame:
    return Frame(((name, "a line"), (name,)), name, "op0", cycles, children)


@st.composite
def trees(draw: st.DrawFn) -> Frame:
    """Three levels whose parts take all of their wholes or less."""
    layers = [
        frame(kernel + own, *([frame(kernel)] if kernel else []))
        for kernel, own in draw(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**5)), max_size=60))
    ]
    return frame(sum(layer.cycles for layer in layers) + draw(st.integers(1, 10**6)), *layers)


def along(rect: Rect, standing: bool) -> tuple[float, float]:
    return (rect.y, rect.height) if standing else (rect.x, rect.width)


def overlap(a: Rect, b: Rect) -> bool:
    return (
        min(a.x + a.width, b.x + b.width) - max(a.x, b.x) > TOLERANCE
        and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > TOLERANCE
    )


def check_inside(flame: Flame) -> None:
    for block in flame.blocks:
        rect = block.rect
        assert -TOLERANCE <= rect.x <= rect.x + rect.width <= flame.width + TOLERANCE
        assert -TOLERANCE <= rect.y <= rect.y + rect.height <= flame.height + TOLERANCE
        if block.label:
            long = max(map(len, block.label.lines)) * CHARACTER_WIDTH
            assert long <= (rect.height if block.label.vertical else rect.width)


@given(trees(), st.booleans())
def test_lengths_are_cycles_and_nothing_overlaps(root: Frame, standing: bool) -> None:
    flame = draw_flame(root, WIDTH, standing=standing)
    check_inside(flame)
    whole = flame.height if standing else flame.width
    for block in flame.blocks:
        assert along(block.rect, standing)[1] == pytest.approx(whole * block.frame.cycles / root.cycles)
    assert not any(overlap(a.rect, b.rect) for a, b in combinations(flame.blocks, 2))
    shown = sum(along(block.rect, standing)[1] for block in flame.blocks if block.level == 1)
    expected = whole * sum(child.cycles for child in root.children) / root.cycles
    assert expected - LEAST_DRAWN * len(root.children) - TOLERANCE <= shown <= expected + TOLERANCE


@given(trees(), st.booleans())
def test_parts_lie_within_their_wholes(root: Frame, standing: bool) -> None:
    parent: dict[int, Rect] = {}
    for block in draw_flame(root, WIDTH, standing=standing).blocks:
        parent[block.level] = block.rect
        if block.level:
            (start, length), (outer, outer_length) = (
                along(rect, standing) for rect in (block.rect, parent[block.level - 1])
            )
            assert outer - TOLERANCE <= start
            assert start + length <= outer + outer_length + TOLERANCE


def test_what_cannot_be_seen_is_left_out_and_its_place_kept() -> None:
    flame = draw_flame(frame(1_000_000, frame(500_000), frame(1), frame(400_000)), WIDTH)
    assert [(round(b.rect.x, 1), b.rect.width) for b in flame.blocks if b.level] == [(0, 500), (500, 400)]
    assert draw_flame(frame(0), WIDTH).blocks == ()


def test_parts_that_take_more_than_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="the parts of net take more cycles"):
        draw_flame(frame(10, frame(6), frame(5), name="net"), WIDTH)
    with pytest.raises(ValueError, match="deeper than 3 levels"):
        draw_flame(frame(9, frame(9, frame(9, frame(9)))), WIDTH)


Report = dict[str, Any]


def row(index: int, op: str, kernel: str, macs: int, cycles: int | None, own: int | None) -> Report:
    names = {"index": index, "name": f"n{index}", "op": op, "kernel": kernel, "output": "", "macs": macs}
    return {**names, "cycles": cycles, "own_cycles": own}


@pytest.fixture
def report() -> Report:
    functions = {
        "Reset_Handler": 30_000,
        "thimble_conv_2d_s8": 7_980,
        "thimble_softmax_s8": 990,
        "net_invoke": 1_000,
        "layer_00_conv_2d": 20,
        "idle": 0,
    }
    return {
        "build": {"name": "net"},
        "target": {"clock_hz": 1_000_000},
        "latency": {"cycles": 10_000},
        "layers": [
            row(0, "conv_2d", "conv_2d_s8", 4_000, 8_000, 20),
            row(1, "reshape", "view", 0, 0, 0),
            row(2, "softmax", "softmax_s8", 0, 1_000, 10),
        ],
        "functions": [{"name": name, "cycles_per_inference": cycles} for name, cycles in functions.items()],
    }


def frame_of(report: Report) -> Frame:
    root = inference_frame(report, layer_rows(report))
    assert root is not None
    return root


def test_frames_are_the_inference_its_layers_and_their_kernels(report: Report) -> None:
    root = frame_of(report)
    assert root.cycles == 10_000
    assert root.names[0] == ("one inference: 10,000 cycles, 10.00 ms",)
    assert [child.cycles for child in root.children] == [8_000, 0, 1_000, 1_000]
    assert [grandchild.cycles for child in root.children for grandchild in child.children] == [7_980, 990]
    conv = root.children[0]
    assert conv.tooltip == "layer 0 conv_2d\nn0\n8,000 cycles, 8.00 ms, 80.0%\n4,000 MACs, 0.500 MACs/cycle"
    assert conv.children[0].names == (("conv_2d_s8",),)
    assert "net_invoke itself\n1,000 cycles" in root.children[-1].tooltip


def test_a_kernel_is_as_wide_as_its_layer_where_the_layers_own_cycles_are_unknown(report: Report) -> None:
    del report["layers"][0]["own_cycles"]
    assert frame_of(report).children[0].children[0].cycles == 8_000


def test_layers_that_round_up_past_the_inference_are_still_within_it(report: Report) -> None:
    report["layers"][2]["cycles"] = 2_001
    root = frame_of(report)
    assert root.cycles == 10_001
    draw_flame(root, WIDTH)


def test_no_picture_of_what_was_not_measured(report: Report) -> None:
    report["layers"][2]["cycles"] = None
    assert inference_frame(report, layer_rows(report)) is None
    assert layer_shares(layer_rows(report), 10_000).unit == "MACs"
    report["layers"] = []
    assert inference_frame(report, ()) is None


def test_functions_outside_of_the_inference_have_no_share_in_it(report: Report) -> None:
    bars = function_bars(report, layer_rows(report))
    assert [(bar.name, bar.cycles, bar.share) for bar in bars] == [
        ("Reset_Handler", 30_000, None),
        ("thimble_conv_2d_s8", 7_980, pytest.approx(79.8)),
        ("net_invoke", 1_000, pytest.approx(10)),
        ("thimble_softmax_s8", 990, pytest.approx(9.9)),
        ("layer_00_conv_2d", 20, pytest.approx(0.2)),
    ]
    assert [bar.colour for bar in bars][:2] == ["other", "op0"]
    assert bars[0].width == 100


@pytest.mark.parametrize(("cycles", "text"), [(161_027_925, "1,341.90 ms"), (24_000, "0.20 ms"), (300, "0.0025 ms")])
def test_milliseconds(cycles: int, text: str) -> None:
    assert format_ms(cycles, 120_000_000) == text
