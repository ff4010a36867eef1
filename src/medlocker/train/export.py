"""Writing a trained model: safetensors, ONNX, one card for both, each checked by reading it again."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers import load_onnx
from medlocker.classifiers.pytorch import load_torch
from medlocker.errors import ModelError
from medlocker.files import check_output_folder, sha256_of

WEIGHTS, ONNX, CARD = "model.safetensors", "model.onnx", "model.card.json"
TOLERANCE = 1e-3
"""Largest difference of a logit between ONNX and torch, relative to logits above 1."""

_OPSET = 18


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        sha256: Of the ONNX file.
        weights_sha256: Of the safetensors file.
        onnx_difference: Largest difference of a logit between ONNX and torch.
    """

    sha256: str
    weights_sha256: str
    onnx_difference: float


def check_output(out: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that is in the way, before any work.

    Raises:
        OutputExistsError: If it exists, or with ``overwrite`` holds anything else than a surrogate.
    """
    check_output_folder(
        out,
        overwrite=overwrite,
        ours=lambda folder: (folder / CARD).is_file(),
        what="a folder made by `train`",
    )


def write_model(
    folder: Path, network: nn.Module, card: Mapping[str, Any], *, samples: NDArray[np.float32]
) -> Written:
    """Write ``model.safetensors``, ``model.onnx`` and ``model.card.json``, read them again and compare.

    Args:
        network: Trained; it is moved to the CPU and put into evaluation mode.
        samples: (N, h, w, 3) float32 canvases in 0..255 on which both must agree.

    Raises:
        ModelError: If the network cannot be exported or the two answer differently.
    """
    write_weights(
        folder,
        network,
        height=card["input"]["height"],
        width=card["input"]["width"],
        name=str(card["architecture"]),
        output="logits",
    )
    digests = write_card(folder, card)
    by_torch = load_torch(folder / WEIGHTS, name="model", device="cpu").logits(samples)
    by_onnx = load_onnx(folder / ONNX).logits(samples)
    difference = np.abs(by_torch - by_onnx)
    if (difference > TOLERANCE * np.maximum(np.abs(by_torch), 1)).any():
        raise ModelError(
            f"expected ONNX and torch to agree to {TOLERANCE} in every logit, got {difference.max():.3g}"
        )
    return Written(digests["sha256"], digests["weights_sha256"], float(difference.max()))


def write_weights(
    folder: Path, network: nn.Module, *, height: int, width: int, name: str, output: str
) -> None:
    """Write ``model.safetensors`` and ``model.onnx``.

    Args:
        network: Trained; it is moved to the CPU and put into evaluation mode.
        output: Name of the ONNX graph's output.

    Raises:
        ModelError: If the network cannot be exported.
    """
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)
    state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(state))
    _export_onnx(network, folder / ONNX, height=height, width=width, name=name, output=output)


def write_card(folder: Path, card: Mapping[str, Any]) -> dict[str, str]:
    """Write ``model.card.json`` with the digests of the weights beside it, and return these."""
    digests = {"sha256": sha256_of(folder / ONNX), "weights_sha256": sha256_of(folder / WEIGHTS)}
    text = json.dumps({**card, **digests}, ensure_ascii=False, indent=2) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")
    return digests


def _export_onnx(network: nn.Module, path: Path, *, height: int, width: int, name: str, output: str) -> None:
    # two images, not one: the exporter would take a batch of one for a constant
    example = torch.zeros(2, 3, height, width)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself; the result is checked
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=["image"],
                output_names=[output],
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter's own classes, and any of the network's code
        raise ModelError(f"architecture {name}: torch cannot export it as ONNX", subject=name) from error
    finally:
        quiet.setLevel(level)
