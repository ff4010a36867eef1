"""Networks to start from, with fresh, given or fetched weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import timm
import torch
from torch import nn

from medlocker.classifiers.architectures import (
    TORCHVISION,
    build,
    canonical_architecture,
    default_size,
    head_names,
    read_state,
)
from medlocker.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Weights = Path | Literal["none", "hub"]


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network ready for training.

    Args:
        network: With a fresh last layer.
        architecture: Its name as cards write it.
        mean: Per channel, of inputs in 0..1.
        std: Per channel.
        origin: Where the weights come from, one phrase.
        licence: Of the weights, if known.
        notes: What the user should know, one sentence each.
    """

    network: nn.Module
    architecture: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: str
    licence: str | None
    notes: tuple[str, ...] = ()


def make_backbone(name: str, *, weights: Weights, outputs: int, size: int) -> Backbone:
    """Build a network and give it its starting weights.

    Args:
        name: timm's name, or torchvision's.
        weights: A state dict without code, ``"hub"`` to fetch pretrained ones, or ``"none"``.
        size: Side of the input, pixels.

    Raises:
        ModelError: If the name is unknown or the weights do not fit or cannot be had.
    """
    architecture = canonical_architecture(name)
    licence: str | None = None
    notes: tuple[str, ...] = ()
    if weights == "hub" and not architecture.startswith(TORCHVISION):
        network = _from_timm_hub(architecture, outputs=outputs, size=size)
        origin, licence = "timm hub", (getattr(network, "pretrained_cfg", None) or {}).get("license")
    else:
        network = build(architecture, outputs=outputs, channels=3, height=size, width=size)
        origin = "none"
        if weights == "hub":
            state = _from_torchvision_hub(architecture)
            load_body(network, state, what=f"weights of {architecture}", ordered=False)
            origin = "torchvision hub"
        elif isinstance(weights, Path):
            ordered = weights.suffix.lower() != ".safetensors"  # which is sorted by name
            note = load_body(network, read_state(weights), what=f"weights {weights.name}", ordered=ordered)
            notes = (note,) if note else ()
            origin, licence = weights.name, weights_metadata(weights).get("licence")
    _start_undecided(network)
    cfg = getattr(network, "pretrained_cfg", None) or {}
    return Backbone(
        network=network,
        architecture=architecture,
        mean=tuple(float(x) for x in cfg.get("mean", IMAGENET_MEAN)),
        std=tuple(float(x) for x in cfg.get("std", IMAGENET_STD)),
        origin=origin,
        licence=licence,
        notes=notes,
    )


def _start_undecided(network: nn.Module) -> None:
    """Make the last layer small: some networks start it so large that their first answers are certain."""
    heads = head_names(network)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name not in heads:
                continue
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)


def suggested_size(name: str) -> int:
    """Return 299 for Inception and 224 for everything else."""
    return 299 if "inception" in name.lower() else 224


def _from_timm_hub(name: str, *, outputs: int, size: int) -> nn.Module:
    plain = timm.create_model(name, pretrained=False)
    resized = hasattr(plain, "patch_embed") and default_size(plain) != (size, size)
    options: dict[str, Any] = {"img_size": (size, size)} if resized else {}
    try:
        network: nn.Module = timm.create_model(name, pretrained=True, num_classes=outputs, **options)
    except Exception as error:  # whatever the hub's client and the network stack raise
        raise unreachable(name) from error
    return network


def _from_torchvision_hub(architecture: str) -> dict[str, torch.Tensor]:
    from torchvision import models  # optional: only for names that timm lacks

    name = architecture.removeprefix(TORCHVISION)
    try:
        return dict(models.get_model(name, weights="DEFAULT").state_dict())
    except Exception as error:  # see _from_timm_hub
        raise unreachable(name) from error


def unreachable(name: str) -> ModelError:
    """Return the error for pretrained weights that the hub does not give."""
    return ModelError(
        f"weights of {name}: they cannot be fetched from the hub",
        subject=name,
        hint="check the network and the name, or give --weights FILE, or train with --weights none",
    )


def load_body(
    network: nn.Module, state: Mapping[str, torch.Tensor], *, what: str, ordered: bool
) -> str | None:
    """Put weights into all layers but the last, which depends on the classes.

    Args:
        state: By the network's own names, or by other names in the same order.
        ordered: Whether the order of ``state`` means anything.

    Returns:
        A sentence if tensors were matched by their order, else None.

    Raises:
        ModelError: If they do not fit.
    """
    head = head_names(network)
    body = {name: tensor for name, tensor in network.state_dict().items() if name not in head}
    if all(name in state or name.endswith("num_batches_tracked") for name in body):
        copy_state(network, {name: state[name] for name in body if name in state}, what=what)
        return None
    common = sum(name in state for name in body)
    if ordered:
        renamed = match_by_order(body, state)
        if renamed is not None:
            copy_state(network, renamed, what=what)
            return (
                f"{what}: the names differ from the network's, so {len(renamed)} tensors were matched "
                "by their order and shapes"
            )
    raise ModelError(
        f"{what}: expected the {len(body)} tensors of the network, got {len(state)}, {common} of these names",
        subject=what,
        hint="is it another architecture or another library's variant of it?",
    )


def match_by_order(
    body: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], *, head: int = 2
) -> dict[str, torch.Tensor] | None:
    """Pair tensors one by one, or return None where number or shapes differ.

    Args:
        body: Wanted, by name, in order.
        head: Most surplus tensors at the end, which belong to the last layers.
    """
    counted = any(tensor.ndim == 0 for tensor in state.values())  # of batches; older files lack them
    wanted = [(n, t) for n, t in body.items() if counted or not n.endswith("num_batches_tracked")]
    given = list(state.values())
    if not 0 <= len(given) - len(wanted) <= head:
        return None
    if any(have.shape != want.shape for have, (_, want) in zip(given, wanted, strict=False)):
        return None
    return {name: have for have, (name, _) in zip(given, wanted, strict=False)}


def copy_state(network: nn.Module, state: Mapping[str, torch.Tensor], *, what: str) -> None:
    """Put some tensors into a network.

    Raises:
        ModelError: If a shape differs or a value is not finite.
    """
    own = network.state_dict()
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise ModelError(
                f"{what}: expected {name} of {tuple(own[name].shape)}, got {tuple(tensor.shape)}",
                subject=what,
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{what}: {name} holds NaN or infinity", subject=what)
    network.load_state_dict(dict(state), strict=False)


def weights_metadata(path: Path) -> dict[str, str]:
    """Return the text fields of a safetensors file."""
    if path.suffix.lower() != ".safetensors":
        return {}
    with safetensors.safe_open(path, framework="pt") as opened:
        return dict(opened.metadata() or {})
