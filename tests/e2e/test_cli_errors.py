"""What goes wrong at the command line: the documented exit code, one sentence on stderr, nothing half written."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thimble
from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver import cli, demo
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import check_limits
from thimble.compiler.ir.errors import TooSlow
from thimble.targets.model import load_target

TARGET = "stm32l4r5zi"
USAGE, UNSUPPORTED, DOES_NOT_FIT, DIFFER, MALFORMED, TOOL_MISSING = 2, 3, 4, 5, 7, 8


@dataclass(frozen=True)
class Result:
    """How a command ended; `message` is what it said on stderr behind the stages of its progress."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The error's own lines."""
        lines = self.err.splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith(("thimble:", "Usage:", "Error:"))]
        return "\n".join(lines[starts[0] :] if starts else [])


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; an exception that the command line lets through fails the test."""

    def run_command(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["thimble", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return run_command


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one FULLY_CONNECTED operator, (1, 4) to (1, 3)."""
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    m = ModelBuilder()
    x, y = m.tensor((1, 4), np.int8, 0.05, 3, name="features"), m.tensor((1, 3), np.int8, 0.1, -4)
    w = m.tensor((3, 4), np.int8, 0.02, 0, data=np.arange(12) * 9 - 50)
    m.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    m.interface([x], [y])
    path.write_bytes(m.build())
    return path


@pytest.fixture(scope="session")
def built(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the small model, not to be changed; its plain kernels take the weights as the model has them."""
    out = tmp_path_factory.mktemp("built") / "out"
    thimble.compile(small_model, TARGET, out, kernels="c")
    return out


@pytest.fixture
def build(built: Path, tmp_path: Path) -> Path:
    """A copy of the build, free to be damaged."""
    return shutil.copytree(built, tmp_path / "build")


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH that leads nowhere."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check(result: Result, code: int, *words: str) -> None:
    """The exit code, one sentence of at most 400 characters with these words, and no Python talk."""
    assert result.code == code, result.err
    message = result.message
    for word in words:
        assert word in message, message
    for line in message.splitlines():
        assert len(line) <= 400
    assert "Traceback" not in result.err
    assert not any(talk in message for talk in ("Error(", "<class", "object at 0x", "np."))
    assert message.strip().splitlines()[0].endswith((".", "...", ":")) or code in (USAGE, TOOL_MISSING), message


def float_model() -> bytes:
    """Two float operators."""
    m = ModelBuilder()
    x, middle, y = (m.tensor((1, 4), np.float32) for _ in range(3))
    m.op("RELU", [x], [middle])
    m.op("TANH", [middle], [y])
    m.interface([x], [y])
    return m.build()


BAD_MODELS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "empty": (lambda model: b"", MALFORMED),
    "text": (lambda model: b"hello, this is no model at all", MALFORMED),
    "truncated": (lambda model: model[: len(model) // 2], MALFORMED),
    "only the mark": (lambda model: b"\0\0\0\0TFL3", MALFORMED),
    "root far away": (lambda model: b"\xff\xff\xff\x7f" + model[4:], MALFORMED),
    "float": (lambda model: float_model(), UNSUPPORTED),
}


@pytest.mark.parametrize("name", BAD_MODELS)
@pytest.mark.parametrize("verb", ["compile", "analyze"])
def test_bad_model(name: str, verb: str, run: Run, tmp_path: Path) -> None:
    damage, code = BAD_MODELS[name]
    model, out = tmp_path / "bad.tflite", tmp_path / "out"
    model.write_bytes(damage(demo.model_path().read_bytes()))
    options = ["-o", out] if verb == "compile" else []
    result = run(verb, model, "-t", TARGET, *options)
    check(result, code)
    assert not out.exists()
    assert list(tmp_path.iterdir()) == [model]


def test_every_blocker_is_named(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "float.tflite"
    model.write_bytes(float_model())
    result = run("compile", model, "-t", TARGET, "-o", tmp_path / "out")
    check(result, UNSUPPORTED, "2 blockers", "operator 0 (RELU)", "operator 1 (TANH)", "float32")


def test_bad_model_leaves_an_earlier_build_as_it_was(run: Run, build: Path, tmp_path: Path) -> None:
    before = contents(build)
    (tmp_path / "bad.tflite").write_bytes(b"nonsense")
    check(run("compile", tmp_path / "bad.tflite", "-t", TARGET, "-o", build), MALFORMED)
    assert contents(build) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compile", "absent.tflite", "-t", TARGET, "-o", "out"], ["absent.tflite"]),
        (["compile", "MODEL", "-t", "z80", "-o", "out"], ["z80", TARGET]),
        (["compile", "MODEL", "-t", TARGET], ["--out"]),
        (["compile", "MODEL", "-o", "out"], ["--target"]),
        (["compile", "MODEL", "-t", TARGET, "-o", "out", "--max-sram", "many"], ["many"]),
        (["compile", "MODEL", "-t", TARGET, "-o", "out", "--max-sram", "-4K"], ["-4K"]),
        (["compile", "MODEL", "-t", TARGET, "-o", "out", "--fast-weights", "\u00b3"], ["is no size"]),
        (["compile", "MODEL", "-t", TARGET, "-o", "out", "--rounding", "up"], ["up"]),
        (["compile", "notes.txt", "-t", TARGET, "-o", "out"], [".txt"]),
        (["compile", ".", "-t", TARGET, "-o", "out"], ["no such file"]),
        (["verify", "absent"], ["absent"]),
        (["verify", "."], ["no build folder"]),
        (["run", ".", "--inputs", "x.npz", "--outputs", "y.npz"], ["no build folder"]),
        (["report", "."], ["no build folder"]),
        (["frobnicate"], ["frobnicate"]),
        (["analyze", "MODEL", "-t", "../stm32l4r5zi"], [TARGET]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage(
    arguments: list[str], words: list[str], run: Run, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no model")
    result = run(*(small_model if a == "MODEL" else a for a in arguments))
    check(result, USAGE, *words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt"]


def test_a_folder_of_others_is_not_touched(run: Run, small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("my life's work")
    before = contents(tmp_path)
    check(run("compile", small_model, "-t", TARGET, "-o", tmp_path / "thesis"), USAGE, "no earlier build")
    assert contents(tmp_path) == before


def test_an_out_path_that_is_a_file(run: Run, small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    check(run("compile", small_model, "-t", TARGET, "-o", tmp_path / "file"), USAGE)
    check(run("compile", small_model, "-t", TARGET, "-o", tmp_path / "file" / "out"), USAGE)
    assert contents(tmp_path) == {"file": b"x"}


@pytest.mark.parametrize("limit", ["--max-sram", "--max-flash"])
def test_does_not_fit(limit: str, run: Run, small_model: Path, build: Path) -> None:
    before = contents(build)
    check(run("compile", small_model, "-t", TARGET, "-o", build, limit, "8"), DOES_NOT_FIT, "8 bytes", "more than")
    assert contents(build) == before
    assert sorted(p.name for p in build.parent.iterdir()) == ["build"]


def test_a_model_larger_than_the_chip(run: Run, tmp_path: Path) -> None:
    m = ModelBuilder()
    x, y = (m.tensor((1, 1024, 1024, 1), np.int8, 0.1, 0) for _ in range(2))
    m.op("TANH", [x], [m.tensor((1, 1024, 1024, 1), np.int8, 1 / 128, 0)])
    m.op("RELU", [x], [y])
    m.interface([x], [y])
    (tmp_path / "large.tflite").write_bytes(m.build())
    check(run("compile", tmp_path / "large.tflite", "-t", TARGET, "-o", tmp_path / "out"), DOES_NOT_FIT, TARGET)
    assert not (tmp_path / "out").exists()


def object_arrays() -> bytes:
    """An .npz whose array is a pickle that would run a program."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, ("open('pickled', 'w').write('ran')",)

    file = io.BytesIO()
    np.savez(file, x=np.array([Bomb()], dtype=object))
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """An .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def huge_claim() -> bytes:
    """An .npz whose header claims far more elements than there are."""
    header = "{'descr': '|i1', 'fortran_order': False, 'shape': (1000000000000000, 4), }"
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 100
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", raw)
    return file.getvalue()


def damaged() -> bytes:
    """A compressed .npz with a byte of its data changed."""
    file = io.BytesIO()
    np.savez_compressed(file, x=np.random.default_rng(0).integers(-9, 9, (500, 4)).astype(np.int8))
    raw = bytearray(file.getvalue())
    raw[len(raw) // 3] ^= 0xFF
    return bytes(raw)


GOOD = np.zeros((5, 4), np.int8)
BAD_DATA: dict[str, tuple[bytes, str]] = {
    "no archive": (b"this is no .npz", "is not an .npz"),
    "empty file": (b"", "is not an .npz"),
    "empty archive": (npz(), "features"),
    "pickled objects": (object_arrays(), "plain arrays"),
    "truncated": (npz(x=GOOD)[:-30], "is not an .npz"),
    "damaged": (damaged(), "is not an .npz"),
    "claims a petabyte": (huge_claim(), "is not an .npz"),
    "other name": (npz(z=GOOD), "lacks the input 'features' or 'x'"),
    "wrong shape": (npz(x=np.zeros((5, 5), np.int8)), "(5, 5)"),
    "no samples": (npz(x=GOOD[:0]), "no samples"),
    "scalar": (npz(x=np.array(3, np.int8)), "shape ()"),
    "wrong type": (npz(x=GOOD.astype(np.int64)), "int64"),
    "text": (npz(x=np.array([["a"] * 4])), "the model takes int8"),
    "not a number": (npz(x=np.full((5, 4), np.nan)), "not a number"),
    "too few labels": (npz(x=GOOD, y=np.zeros(3, int)), "y has shape (3,)"),
    "labels of text": (npz(x=GOOD, y=np.array(["cat"] * 5)), "y"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name: str, run: Run, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, words = BAD_DATA[name]
    (tmp_path / "x.npz").write_bytes(data)
    before = contents(built)
    check(run("verify", built, "--data", "x.npz", "--on", "host"), USAGE, "x.npz", words)
    if "label" not in name:
        check(run("run", built, "--inputs", "x.npz", "--outputs", "y.npz", "--on", "host"), USAGE, "x.npz", words)
    assert contents(built) == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_outputs_that_cannot_be_written(run: Run, built: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(npz(x=GOOD))
    arguments = ["run", built, "--inputs", tmp_path / "x.npz", "--on", "host", "--outputs"]
    check(run(*arguments, tmp_path / "absent" / "y.npz"), USAGE, "y.npz")
    check(run(*arguments, tmp_path), USAGE, str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_absent_data(run: Run, built: Path, tmp_path: Path) -> None:
    check(run("verify", built, "--data", tmp_path / "x.npz"), USAGE, "no such file")
    check(run("verify", built, "--data", tmp_path), USAGE)


def test_outputs_differ(run: Run, build: Path) -> None:
    """A weight changed in the generated C is found, and the first layer that differs is named."""
    weights = build / "small_weights.c"
    text = weights.read_text()
    assert "-50, -41" in text
    weights.write_text(text.replace("-50, -41", "-50, 41"))
    result = run("verify", build, "--on", "host")
    check(result, DIFFER, "first layer that differs is 0 (fully_connected)")
    assert json.loads((build / "report.json").read_text())["verify"]["mismatched_values"] > 0


@pytest.mark.parametrize("damage", ["delete the model", "other model", "report is no JSON", "report lacks the build"])
def test_damaged_build(damage: str, run: Run, build: Path) -> None:
    report = build / "report.json"
    if damage == "delete the model":
        (build / "model.tflite").unlink()
    elif damage == "other model":
        (build / "model.tflite").write_bytes(demo.model_path().read_bytes())
    elif damage == "report is no JSON":
        report.write_text(report.read_text()[:100])
    else:
        report.write_text(json.dumps({"schema": 1, "model": []}))
    before = contents(build)
    check(run("verify", build, "--on", "host"), USAGE, "compile")
    assert contents(build) == before


def test_build_without_its_firmware(run: Run, build: Path) -> None:
    for elf in (build / "build").glob("*.elf"):
        elf.unlink()
    check(run("verify", build, "--on", "target"), USAGE, "compile again")


def test_compile_without_a_compiler(no_tools: None, run: Run, small_model: Path, tmp_path: Path) -> None:
    result = run("compile", small_model, "-t", TARGET, "-o", tmp_path / "out")
    check(result, TOOL_MISSING, "apt-get install")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize("on", ["host", "target"])
def test_verify_without_tools(on: str, no_tools: None, run: Run, build: Path) -> None:
    before = contents(build)
    check(run("verify", build, "--on", on), TOOL_MISSING, "apt-get install")
    assert contents(build) == before


def test_doctor_without_tools(no_tools: None, run: Run) -> None:
    result = run("doctor")
    assert result.code == TOOL_MISSING
    assert "apt-get install" in result.out + result.err


def test_interpreter_prints_no_traceback(tmp_path: Path) -> None:
    """The installed program itself, as a user starts it."""
    (tmp_path / "bad.tflite").write_bytes(b"nonsense")
    command = [sys.executable, "-m", "thimble.compiler.driver.cli", "compile", "bad.tflite", "-t", TARGET, "-o", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == MALFORMED
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.startswith("thimble: ")] == done.stderr.splitlines()[-1:]
    assert "Traceback" not in done.stderr


def test_simulating_what_is_no_firmware(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.elf").write_text("no ELF")
    check(run("simulate", tmp_path / "text.elf", "-t", TARGET), USAGE, "is not an ELF file")
    check(run("simulate", tmp_path / "absent.elf", "-t", TARGET), USAGE, "no such file")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--input", "rows"), "'features' is (1, 4) int8"),
        (("--schedule", "best"), "'best' is not one of 'auto', 'layer', 'rows', 'patch'"),
        (("--objective", "least"), "'least' is not one of"),
        (("--io", "float"), "'float' is not one of 'model', 'int8'"),
        (("--plan-time", "-1"), "-1.0 is not in the range x>=0"),
    ],
)
@pytest.mark.parametrize("verb", ["compile", "analyze"])
def test_options_that_do_not_suit_the_model(
    run: Run, small_model: Path, tmp_path: Path, verb: str, options: tuple[str, str], words: str
) -> None:
    out = ("-o", tmp_path / "out") if verb == "compile" else ()
    check(run(verb, small_model, "-t", TARGET, *out, *options), USAGE, words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["compile", "analyze"])
def test_a_model_that_is_predicted_to_be_too_slow_does_not_fit(
    verb: str, run: Run, small_model: Path, tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "out") if verb == "compile" else ()
    check(
        run(verb, small_model, "-t", TARGET, "--max-ms", "1e-9", *out), DOES_NOT_FIT, "too slow", "predicted", "1e-09"
    )
    assert not (tmp_path / "out").exists()


def test_time_is_predicted_and_simulated(built: Path) -> None:
    report = json.loads((built / "report.json").read_text())
    latency, clock = report["latency"], report["target"]["clock_hz"]
    assert latency["predicted_ms"] == round(latency["predicted_cycles"] / clock * 1000, 4) > 0
    if latency["ms"] is not None:
        with pytest.raises(TooSlow, match="takes on the simulated chip"):
            check_limits(report, load_target(TARGET), CompileOptions(max_ms=latency["ms"] / 2))
        check_limits(report, load_target(TARGET), CompileOptions(max_ms=latency["ms"] * 2))
