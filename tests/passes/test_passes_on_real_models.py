"""What the passes bring on real models, byte for byte; the layers that survive are found in the model's own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import thimble
from tests.graphs import graph_of
from tests.passes.network import run
from thimble.compiler.driver.build_folder import import_model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.stages import compile_model
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType, TensorType
from thimble.compiler.ops.executor import Executor
from thimble.compiler.passes.pipeline import run_passes
from thimble.compiler.plan.layer_plan import plan_layers

VWW = "mlperf_tiny/vww_96_int8.tflite"
MCUNET = "vision/mcunet_vww_int8.tflite"
NABU = "audio/microwakeword_okay_nabu_int8.tflite"
NOTHING_TO_REMOVE = [f"mlperf_tiny/{name}.tflite" for name in ("ad01_int8", "kws_ref_model_int8", "ic_resnet8_int8")]


def samples(graph: Graph, count: int = 4) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(3)
    return [[draw(rng, graph.values[i].type) for i in graph.inputs] for _ in range(count)]


def draw(rng: np.random.Generator, type_: TensorType) -> np.ndarray:
    drawn = rng.normal(size=type_.shape) * 2 if type_.dtype is DType.FLOAT32 else rng.integers(-128, 128, type_.shape)
    return drawn.astype(type_.dtype.numpy)


def before_and_after(data: Path, model: str) -> tuple[Graph, Graph]:
    path = data / "models" / model
    return import_model(path.read_bytes(), path), graph_of(path.read_bytes(), path)


def weights_bytes(graph: Graph) -> int:
    return sum(value.constant.nbytes for value in graph.values if value.role is Role.CONSTANT)


@pytest.mark.parametrize("model", [VWW, MCUNET, NABU, *NOTHING_TO_REMOVE, "audio/micro_speech_quantized.tflite"])
def test_bytes_are_the_same(data: Path, model: str) -> None:
    before, after = before_and_after(data, model)
    inputs = samples(before)
    assert run(before, inputs) == run(after, inputs)


def test_visual_wake_words_loses_half_of_its_work(data: Path) -> None:
    before, after = before_and_after(data, VWW)
    assert (before.macs, after.macs) == (7_489_664, 3_727_313)
    assert (weights_bytes(before), weights_bytes(after)) == (219_064, 33_122)


@pytest.mark.parametrize("model", NOTHING_TO_REMOVE)
def test_nothing_is_removed_where_everything_is_needed(data: Path, model: str) -> None:
    before, after = before_and_after(data, model)
    assert before.macs == after.macs
    assert weights_bytes(before) == weights_bytes(after)


def test_mcunet_pads_no_image_and_transposes_none(data: Path) -> None:
    before, after = before_and_after(data, MCUNET)
    gone = {"pad", "transpose"}
    assert gone <= {node.op.name for node in before.nodes}
    assert not gone & {node.op.name for node in after.nodes}
    assert after.macs == 10_931_325
    assert plan_layers(after).arena_bytes <= 96_000 < 161_472 <= plan_layers(run_passes(before, ())).arena_bytes


def test_a_streaming_model_reads_its_state_in_place(data: Path) -> None:
    _, after = before_and_after(data, NABU)
    plan = plan_layers(after)
    reads = [node.outputs[0] for node in after.nodes if node.op.name in ("read_variable", "reshape")]
    assert len(reads) == 7  # six states and the input; FULLY_CONNECTED reads in front of its own RESHAPE
    assert all(map(plan.is_view, reads))


@pytest.mark.parametrize("model", [VWW, MCUNET, NABU])
def test_values_name_the_tensor_whose_bytes_they_hold(data: Path, model: str) -> None:
    """This is how `verify` finds the first layer that differs: by the tensors of the model's own file."""
    before, after = before_and_after(data, model)
    (inputs,) = samples(before, 1)
    theirs = {before.values[i].tensor: array for i, array in Executor(before).trace(inputs).items()}
    ours = Executor(after).trace(inputs)
    made = [i for node in after.nodes for i in node.outputs]
    named = [i for i in made if after.values[i].tensor is not None]
    assert all(ours[i].tobytes() == theirs[after.values[i].tensor].tobytes() for i in named)
    assert len(made) - len(named) == {VWW: 19, MCUNET: 20, NABU: 0}[model]  # those that were narrowed


def test_report_tells_the_work_of_the_model_and_what_was_executed(data: Path, tmp_path: Path) -> None:
    path = data / "models" / "misc" / "hello_world_int8.tflite"
    report = compile_model(path, "stm32l4r5zi", tmp_path / "all")
    assert (report["model"]["macs"], report["model"]["macs_executed"]) == (288, 220)
    options = CompileOptions(disabled_passes=("remove-constant-channels",))
    plain = compile_model(path, "stm32l4r5zi", tmp_path / "plain", options)
    assert plain["model"]["macs"] == plain["model"]["macs_executed"] == 288
    assert plain["build"]["disabled_passes"] == ["remove-constant-channels"]
    assert plain["memory"]["weights_bytes"] > report["memory"]["weights_bytes"]
    for folder in ("all", "plain"):  # the folder remembers which passes its firmware is made with
        verified = thimble.verify(tmp_path / folder, on="host", samples=10)
        assert verified["verify"]["mismatched_values"] == 0
