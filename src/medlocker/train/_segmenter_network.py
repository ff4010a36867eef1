"""Segmentation networks of segmentation-models-pytorch, with fresh, given or fetched encoder weights."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from medlocker.classifiers.architectures import read_state
from medlocker.errors import MissingExtraError, ModelError
from medlocker.train.backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Weights,
    copy_state,
    match_by_order,
    unreachable,
    weights_metadata,
)

DEFAULT_ARCHITECTURE, DEFAULT_ENCODER = "unet", "tu-mobilenetv2_100"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_TIMM = "tu-"
_WITH_DECODER_CHANNELS = ("unet", "unetplusplus", "linknet")
_DECODER_CHANNELS = (96, 64, 48, 32, 16)
"""Half of the library's: lesions are small and simple, and a CPU has to train it."""


@dataclass(frozen=True, eq=False)
class SegmentationNetwork:
    """A network ready for training.

    Args:
        network: (N, 3, h, w) to (N, 1, h, w) logits.
        mean: Per channel, of inputs in 0..1.
        std: Per channel.
        origin: Where the encoder's weights come from, one phrase.
        licence: Of these weights, if known.
        notes: What the user should know, one sentence each.
    """

    network: nn.Module
    architecture: str
    encoder: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str
    licence: str | None
    notes: tuple[str, ...] = ()


def make_network(architecture: str, *, encoder: str, weights: Weights) -> SegmentationNetwork:
    """Build a network with one output channel and give its encoder starting weights.

    Args:
        architecture: ``unet``, ``fpn``, ... of segmentation-models-pytorch.
        encoder: Its name there; ``tu-NAME`` takes any network of timm that offers feature maps.
        weights: A state dict without code, ``"hub"`` to fetch pretrained ones, or ``"none"``.

    Raises:
        MissingExtraError: If the library is not installed.
        ModelError: If a name is unknown, or the weights do not fit or cannot be had.
    """
    # names with other characters could make the library read folders or reach a network
    if not (_PLAIN_NAME.fullmatch(encoder) and _PLAIN_NAME.fullmatch(architecture)):
        raise ModelError(f"expected plain names, got {architecture!r:.40} and {encoder!r:.60}")
    network = _build(architecture, encoder, hub=weights == "hub")
    origin, licence = str(weights), None
    notes: tuple[str, ...] = ()
    if isinstance(weights, Path):
        note = _load_encoder(network, weights)
        origin, licence = weights.name, weights_metadata(weights).get("licence")
        notes = (note,) if note else ()
    cfg = timm.get_pretrained_cfg(encoder.removeprefix(_TIMM)) if encoder.startswith(_TIMM) else None
    return SegmentationNetwork(
        network=network,
        architecture=architecture,
        encoder=encoder,
        mean=tuple(cfg.mean) if cfg else IMAGENET_MEAN,
        std=tuple(cfg.std) if cfg else IMAGENET_STD,
        origin=origin,
        licence=licence,
        notes=notes,
    )


def with_sigmoid(network: nn.Module) -> nn.Module:
    """Return the trained network ending with probabilities, which is what is exported."""
    head: Any = network.segmentation_head
    head[-1] = nn.Sigmoid()
    return network


def _build(architecture: str, encoder: str, *, hub: bool) -> nn.Module:
    try:
        import segmentation_models_pytorch as smp  # optional library
    except ImportError:
        raise MissingExtraError("segmentation_models_pytorch", "segment") from None
    options: dict[str, Any] = {}
    if architecture in _WITH_DECODER_CHANNELS[:2]:
        options["decoder_channels"] = _DECODER_CHANNELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names that moved inside timm
            network: nn.Module = smp.create_model(
                architecture,
                encoder_name=encoder,
                encoder_weights="imagenet" if hub else None,
                in_channels=3,
                classes=1,
                **options,
            )
    except Exception as error:  # whatever the library, timm, the hub's client and the network stack raise
        if hub:
            raise unreachable(encoder) from error
        raise ModelError(
            f"architecture {architecture} with encoder {encoder}: it cannot be made",
            hint="names are those of segmentation-models-pytorch: unet, fpn, ...; encoders tu-NAME of timm",
        ) from error
    return network


def _load_encoder(network: nn.Module, path: Path) -> str | None:
    """Put a classifier's weights into the encoder; returns a sentence if they were matched by order."""
    what = f"weights {path.name}"
    encoder: Any = network.encoder
    state = read_state(path)
    own: dict[str, torch.Tensor] = encoder.state_dict()
    # timm's networks lie one level below the encoder, under ``model``
    named = {name: name.removeprefix("model.") for name in own}
    if all(plain in state or plain.endswith("num_batches_tracked") for plain in named.values()):
        copy_state(encoder, {n: state[plain] for n, plain in named.items() if plain in state}, what=what)
        return None
    matched = match_by_order(own, state, head=8) if path.suffix.lower() != ".safetensors" else None
    if matched is not None:
        copy_state(encoder, matched, what=what)
        return f"{what}: the names differ from the encoder's, so {len(matched)} tensors were matched by order"
    common = sum(plain in state for plain in named.values())
    raise ModelError(
        f"{what}: expected the {len(own)} tensors of the encoder, got {len(state)}, {common} of these names",
        subject=what,
        hint="is it another architecture or another library's variant of it?",
    )
