"""`thimble analyze --frontier`: every point is a plan that ran, none is dominated, and the drawing shows them all."""

from __future__ import annotations

import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from tests.e2e.test_schedules import RESIDUALS
from tests.models.mobilenet_v2 import build_network
from thimble.compiler.driver.cli import cli
from thimble.compiler.driver.frontier import Point, undominated
from thimble.compiler.driver.frontier_chart import draw_frontier

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "residuals.tflite"
    path.write_bytes(build_network(RESIDUALS))
    return path


@pytest.fixture(scope="module")
def measured(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    svg = tmp_path_factory.mktemp("drawing") / "frontier.svg"
    limits = ["--max-sram", "8K", "--plan-time", "0"]
    arguments = ["analyze", str(model), "-t", "stm32l4r5zi", "--frontier", "--json", "-q", "--svg", str(svg), *limits]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout), svg


def test_points_fall_in_bytes_and_rise_in_cycles(measured: tuple[dict[str, Any], Path]) -> None:
    points = measured[0]["points"]
    assert len(points) >= 2
    for more, less in pairwise(points):
        assert more["arena_bytes"] > less["arena_bytes"]
        assert more["cycles"] < less["cycles"]
    for point in points:
        assert point["arena_bytes"] < point["sram_total_bytes"]
        assert point["fits"] == (point["sram_total_bytes"] <= 8192)
        assert point["mac_factor"] == pytest.approx(point["macs_executed"] / measured[0]["macs"], abs=1e-4)


def test_the_drawing_has_a_dot_a_point_and_the_limit(measured: tuple[dict[str, Any], Path]) -> None:
    result, svg = measured
    root = ElementTree.parse(svg).getroot()
    dots = root.findall(f"{SVG}circle")
    assert len(dots) == len(result["points"])
    assert [dot.get("class") for dot in dots] == ["fits" if p["fits"] else "beyond" for p in result["points"]]
    limits = [line for line in root.findall(f"{SVG}line") if line.get("class") == "limit"]
    assert len(limits) == (result["points"][0]["arena_bytes"] * 1.04 >= 8192)
    xs = [float(dot.get("cx", "nan")) for dot in dots]
    assert xs == sorted(xs, reverse=True)


def test_svg_alone_is_refused(model: Path) -> None:
    done = CliRunner().invoke(cli, ["analyze", str(model), "-t", "stm32l4r5zi", "--svg", "x.svg"])
    assert done.exit_code == 2
    assert "give --frontier too" in done.output


def point(arena: int, cycles: int) -> Point:
    return Point(arena, arena + 300, cycles, 1.0, 100, 1.0, 5, True)


def test_dominated_points_go() -> None:
    given = [point(90, 5), point(100, 5), point(50, 9), point(60, 9), point(50, 10), point(70, 7), point(80, 8)]
    assert [(p.arena_bytes, p.cycles) for p in undominated(given)] == [(90, 5), (70, 7), (50, 9)]


def test_labels_never_cover_each_other_or_a_dot() -> None:
    result = {"model": "m", "target": "t", "input": "resident", "limit_bytes": 10_000}
    near = [{"arena_bytes": 1_000 - i, "cycles": 10_000 + i, "mac_factor": 1.0, "fits": True} for i in range(9)]
    far = {"arena_bytes": 200, "cycles": 20_000, "mac_factor": 1.5, "fits": False}
    chart = draw_frontier({**result, "points": [*near, far]})
    labels = [dot.label for dot in chart.dots if dot.label]
    assert 2 <= len(labels) < len(chart.dots)
    for a, b in combinations(labels, 2):
        assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    for a in labels:
        assert not any(a.x < dot.x < a.x + a.width and a.y < dot.y < a.y + a.height for dot in chart.dots)
        assert 0 <= a.x <= a.x + a.width <= chart.width
    assert chart.limit_x is None
    assert chart.dots[-1].text == "200 B, +100.0%, 1.50x MACs"
    assert chart.dots[-1].label
