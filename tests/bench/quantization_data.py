"""Float models of MLPerf Tiny with calibration and evaluation data that have no sample in common."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.shared_data import data_folder
from thimble.compiler.ir.operator import Array

CALIBRATION_SAMPLES = 100
SEED = 6

Score = Callable[[Array, Array], float]
"""(inputs, outputs) to the figure of merit: percent of top-1, or AUC."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Inputs (N, ...) float32, images channels last, and what the model's outputs are worth on them."""

    name: str
    inputs: Array
    score: Score
    labels: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A float model, what to calibrate it on, what to evaluate it on, and the losses that are allowed by method."""

    name: str
    model: Path
    calibration: Array
    evaluations: tuple[Evaluation, ...]


def top1(labels: Array) -> Score:
    """Percent of samples whose largest output is that of their label."""
    return lambda inputs, outputs: float((outputs.reshape(len(labels), -1).argmax(1) == labels).mean() * 100)


def load_task(name: str) -> Task:
    """One of ic, kws, vww, ad; needs the data folder."""
    return {"ic": _ic, "kws": _kws, "vww": _vww, "ad": _ad}[name]()


def model_path(name: str) -> Path:
    """A file of the MLPerf Tiny models."""
    return data_folder() / "models" / "mlperf_tiny" / name


def arrays_of(name: str) -> dict[str, Array]:
    """The arrays of an .npz of the data folder, by its name without suffix."""
    with np.load(data_folder() / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _split(count: int) -> tuple[Array, Array]:
    """Indices of a fixed draw of calibration samples, and of all others."""
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[:CALIBRATION_SAMPLES]), np.sort(order[CALIBRATION_SAMPLES:])


def _ic() -> Task:
    test = arrays_of("eval/ic01_int8")
    train = arrays_of("train/cifar10_jpg_train")
    drawn = np.random.default_rng(SEED).permutation(len(train["y"]))[: 10 * CALIBRATION_SAMPLES]
    jpeg = arrays_of("train/cifar10_jpg_test")
    images = test["x"].astype(np.float32) + 128
    return Task(
        "ic",
        model_path("ic_resnet8_float.onnx"),
        decode(train, drawn),
        (
            Evaluation("ic01, 200 images", images, top1(test["y"]), test["y"]),
            Evaluation("CIFAR test, 10,000 JPEGs", decode(jpeg, np.arange(len(jpeg["y"]))), top1(jpeg["y"]), jpeg["y"]),
        ),
    )


def decode(archive: dict[str, Array], indices: Array) -> Array:
    """JPEG files of an archive as pixels 0 to 255, (N, 32, 32, 3) float32. Needs Pillow."""
    from PIL import Image

    raw, offsets = archive["jpeg"].tobytes(), archive["offset"]
    images = [Image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])).convert("RGB") for i in indices]
    return np.stack([np.asarray(image, np.float32) for image in images])


def _kws() -> Task:
    data = arrays_of("eval/kws01_int8")
    inputs = (data["x"].astype(np.float32) - 83) * np.float32(0.5847029)  # the scale of the int8 model's input
    given, scored = _split(len(inputs))
    evaluation = Evaluation("kws01, 900 samples", inputs[scored], top1(data["y"][scored]), data["y"][scored])
    return Task("kws", model_path("kws_ref_model_float32.tflite"), inputs[given], (evaluation,))


def vww_images() -> tuple[Array, Array]:
    """The 1,000 images of vww01 as the float model takes them, and their labels."""
    data = arrays_of("eval/vww01_int8")
    return (data["x"].astype(np.float32) + 128) / 255, data["y"]


def _vww() -> Task:
    inputs, labels = vww_images()
    given, scored = _split(len(inputs))
    evaluation = Evaluation("vww01, 900 images", inputs[scored], top1(labels[scored]), labels[scored])
    return Task("vww", model_path("vww_96_float.onnx"), inputs[given], (evaluation,))


def _ad() -> Task:
    """Calibrated on the windows of every tenth normal clip, which are not scored."""
    data = arrays_of("eval/ad01_int8")
    inputs = (data["x"].astype(np.float32) - 89) * np.float32(0.39101457)  # the scale of the int8 model's input
    held = np.flatnonzero(data["clip_y"] == 0)[::10]
    given = np.isin(data["clip"], held)
    clips = data["clip"][~given]

    def auc(x: Array, outputs: Array) -> float:
        errors = ((x - outputs.reshape(x.shape)) ** 2).mean(axis=1)
        scored = np.unique(clips)
        means = np.array([errors[clips == clip].mean() for clip in scored])
        return area_under_curve(means, data["clip_y"][scored])

    return Task("ad", model_path("ad01_fp32.tflite"), inputs[given], (Evaluation("ad01, AUC", inputs[~given], auc),))


def area_under_curve(scores: Array, labels: Array) -> float:
    """Share of pairs of a positive and a negative in which the positive has the larger score."""
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None, :]
    return float((positive > negative).mean() + (positive == negative).mean() / 2)
