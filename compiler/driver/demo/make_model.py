"""Makes the shipped model again: train, fold, quantize, write, measure in tflite-micro on all test images.

Run as `python -m thimble.compiler.driver.demo.make_model` where PyTorch, ai-edge-litert, tflite-micro and
Debian's `dataset-fashion-mnist` are installed. The same kind of processor, threads and PyTorch version give
the same bytes; another may round a float sum differently and so give a slightly different model.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from thimble.compiler.driver.demo import model_path, record_path, samples_path
from thimble.compiler.driver.demo.dataset import DEFAULT_FOLDER, read_split, sample_indices
from thimble.compiler.driver.demo.export import export_tflite, quantize_images
from thimble.compiler.driver.demo.network import network_macs
from thimble.compiler.driver.demo.train import build_network, float_accuracy, fold, import_torch, train
from thimble.compiler.ir.errors import ThimbleError, ToolMissing

_CALIBRATION_IMAGES = 1000  # the first ones of the training split
_AT_LEAST_1 = click.IntRange(min=1)
_FOLDER = click.Path(path_type=Path)


def predict(model: bytes, images: NDArray[np.int8]) -> NDArray[np.int64]:
    """The class that tflite-micro gives each image int8 (N, 28, 28, 1); (N,). Ties go to the lower class.

    Raises ToolMissing where tflite-micro is not installed.
    """
    try:
        runtime: Any = importlib.import_module("tflite_micro.python.tflite_micro.runtime")
    except ImportError as error:
        raise ToolMissing("measuring needs tflite-micro: run `pip install 'thimble[verify]'`") from error
    interpreter = runtime.Interpreter.from_bytes(model)
    classes = []
    for image in images:
        interpreter.set_input(image[np.newaxis], 0)
        interpreter.invoke()
        classes.append(int(np.argmax(interpreter.get_output(0)[0])))
    return np.array(classes, np.int64)


def _percent(hits: NDArray[np.bool_]) -> float:
    return round(float(np.mean(hits) * 100), 2)


def make_model(out: Path, dataset: Path, epochs: int, seed: int, threads: int) -> dict[str, Any]:
    """Train the model and write it, its samples and its record into `out`; returns the record."""
    training, test = read_split(dataset, "train"), read_split(dataset, "t10k")
    torch = import_torch(seed, threads)
    network = build_network(torch)
    train(torch, network, training, epochs, click.echo)
    model = export_tflite(fold(torch, network, training.images[:_CALIBRATION_IMAGES]))

    images = quantize_images(test.images)
    hits = predict(model, images) == test.labels
    chosen = sample_indices(test.labels)
    record = {
        "model": model_path().name,
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "macs": network_macs(),
        "dataset": "Fashion-MNIST",
        "accuracy": {
            "metric": "top1_percent",
            "float": round(float_accuracy(torch, network, test), 2),
            "int8": _percent(hits),
            "int8_runtime": "tflite-micro",
            "test_images": len(hits),
        },
        "samples": {
            "choice": "the first 20 test images of each class, in the test set's order",
            "count": len(chosen),
            "int8_correct": int(hits[chosen].sum()),
        },
        "training": {"epochs": epochs, "seed": seed, "torch": torch.__version__},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / model_path().name).write_bytes(model)
    np.savez_compressed(out / samples_path().name, x=images[chosen], y=test.labels[chosen])
    (out / record_path().name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--epochs", default=12, show_default=True, type=_AT_LEAST_1, help="Passes over the images.")
@click.option("--seed", default=1, show_default=True, help="Of weights, order and augmentation.")
@click.option("--threads", default=2, show_default=True, type=_AT_LEAST_1, help="For PyTorch.")
@click.option("--dataset", default=DEFAULT_FOLDER, show_default=True, type=_FOLDER, help="Of the .gz files.")
@click.option("--out", default=model_path().parent, show_default="beside this script", type=_FOLDER)
def main(epochs: int, seed: int, threads: int, dataset: Path, out: Path) -> None:
    """Train, quantize and measure the model that Thimble ships."""
    try:
        record = make_model(out, dataset, epochs, seed, threads)
    except ThimbleError as error:
        click.echo(f"make_model: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
