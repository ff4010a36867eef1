"""Torch networks: logits and exact gradients, from weights that cannot carry code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medlocker.classifiers._base import BaseClassifier, checked_logits, log_probabilities
from medlocker.classifiers._featurenetwork import PrototypeHead, backbone, feature_count
from medlocker.classifiers._folded import folded
from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers._weightsfile import check_weights_file
from medlocker.classifiers.architectures import build, head_names, last_layer, load_state, read_state
from medlocker.classifiers.card import Card, card_path, load_card
from medlocker.classifiers.protocol import Gradients
from medlocker.errors import ModelError
from medlocker.files import sha256_of
from medlocker.machine import usable_cores

_CHUNK = 32
"""Images in one forward pass; more only costs memory on a CPU."""


class TorchClassifier(BaseClassifier):
    """A torch network in evaluation mode, float32, on the CPU or a GPU if there is one.

    Use :func:`load_torch`, or wrap a network of your own.

    Args:
        network: From (N, c, h, w) to (N, K) logits; or probabilities or features if the card says so.
        card: What the network expects; its layout is not used, torch is always NCHW.
        fingerprint: SHA-256 of the weights' file.
        classes: Class names in the order of the logits.
        device: Where to run; default a GPU if there is one.

    Attributes:
        chunk: Most images in one pass of the network; gradients on a CPU take one.
    """

    has_gradients = True

    def __init__(
        self,
        network: nn.Module,
        *,
        card: Card,
        name: str,
        fingerprint: str,
        classes: tuple[str, ...],
        notes: tuple[str, ...] = (),
        device: str | None = None,
    ) -> None:
        super().__init__(card, name=name, fingerprint=fingerprint, classes=classes, notes=notes)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.on_gpu = self._device.type != "cpu"
        self._network = network.float().eval().requires_grad_(False)
        self._network = self._network.to(self._device).to(memory_format=torch.channels_last)
        self._answering = self._network
        self._softmaxed = card.output == "probabilities"
        self.chunk = _CHUNK
        # (h, w, c) order, so that a canvas is read as it lies and torch sees channels_last
        self._scale_t = torch.from_numpy(self._scale).to(self._device)
        self._shift_t = torch.from_numpy(self._shift).to(self._device)

    @property
    def torch_form(self) -> TorchClassifier:
        """Itself."""
        return self

    @property
    def has_features(self) -> bool:  # type: ignore[override]
        """Whether the network has a last layer of one vector an image; clusters are none."""
        return self.prototypes is None and last_layer(self._network) is not None

    def features(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, D) float32, the inputs of the network's last layer."""
        head = last_layer(self._network)
        if self.prototypes is not None or head is None:
            return super().features(canvases)
        seen: list[torch.Tensor] = []
        hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        try:
            with torch.inference_mode():
                self._network(torch.from_numpy(self.normalise(canvases)).to(self._device).permute(0, 3, 1, 2))
        finally:
            hook.remove()
        return np.asarray(seen[0].flatten(1).cpu().numpy(), dtype=np.float32)

    @property
    def network(self) -> nn.Module:
        """The network itself; copy it before training on."""
        return self._network

    def normalise(self, canvases: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring (N, h, w, c) canvases to the network's range; NHWC in memory is torch's channels_last."""
        return self._rgba(canvases * self._scale + self._shift)

    def clustered(self, prototypes: Prototypes, *, note: str) -> Self:
        """Return the network with a head of clusters, which gradients pass through."""
        made = super().clustered(prototypes, note=note)
        head = PrototypeHead(prototypes).to(self._device)
        made._network = nn.Sequential(self._network, head).eval()
        made._answering = nn.Sequential(self._answering, head).eval()
        return made

    def fold_norms(self) -> None:
        """Answer and differentiate by a copy of the network that needs less work; :attr:`network` stays."""
        shape = self.card.input.channels, self.height, self.width
        example = torch.linspace(-1, 1, math.prod(shape)).sin().reshape(1, *shape).to(self._device)
        self._answering = folded(self._network, example).to(memory_format=torch.channels_last)

    def _forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Classify (N, h, w, c) normalised inputs."""
        answers = self._answering(inputs.permute(0, 3, 1, 2))
        if not isinstance(answers, torch.Tensor) or answers.ndim != 2:
            raise ModelError(
                f"{self.name}: expected one number per class from the network", subject=self.name
            )
        return answers

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer logits (N, K), or of a feature extractor (N, D), for a batch in the model's own layout."""
        pieces: list[NDArray[np.float32]] = []

        def answer(part: slice) -> None:
            pieces.append(self._guarded(torch.from_numpy(batch[part]).to(self._device)).cpu().numpy())

        with torch.inference_mode():
            self._in_chunks(answer, len(batch))
        answers = np.concatenate(pieces)
        return log_probabilities(answers) if self._softmaxed else answers

    def _guarded(self, inputs: torch.Tensor) -> torch.Tensor:
        try:
            return self._forward(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # shapes that the architecture cannot take, or no memory
            raise ModelError(
                f"{self.name}: the network fails on {len(inputs)} images of {self.width} x {self.height}",
                subject=self.name,
            ) from error

    def _shrink(self, error: Exception) -> None:
        """Take half as many pictures at once from now on; a GPU says by its error that they were too many."""
        if self.chunk == 1:
            message = (
                f"{self.name}: the device lacks the memory for one picture of {self.width} x {self.height}"
            )
            raise ModelError(message, hint="CUDA_VISIBLE_DEVICES= makes it run on the CPU") from error
        self.chunk //= 2
        if self.on_gpu:
            torch.cuda.empty_cache()

    def gradients(self, canvases: NDArray[np.float32], labels: Sequence[int]) -> Gradients:
        """Differentiate the margin ``max(z[k != label]) - z[label]`` per grey level of the canvas.

        Args:
            canvases: (N, h, w, c) float32 in 0..255.
            labels: (N,) class that must not be answered.

        Raises:
            ModelError: If the network fails or answers NaN.
        """
        expected = (self.height, self.width, self.channels)
        if canvases.ndim != 4 or canvases.shape[1:] != expected:
            raise ModelError(
                f"{self.name}: expected canvases of {expected}, got {canvases.shape[1:]}", subject=self.name
            )
        if len(labels) != len(canvases):
            raise ModelError(
                f"{self.name}: expected {len(canvases)} labels, got {len(labels)}", subject=self.name
            )
        count = len(self.classes)
        if any(not 0 <= label < count for label in labels):
            raise ModelError(f"{self.name}: expected labels from 0 to {count - 1}", subject=self.name)
        slopes = np.empty_like(canvases, dtype=np.float32)
        logits = np.empty((len(canvases), count), np.float32)

        def differentiate(part: slice) -> None:
            logits[part], slopes[part] = self._differentiate(canvases[part], labels[part])

        if self.on_gpu:
            self._in_chunks(differentiate, len(canvases))
        else:
            # one image at a time, in threads: the same numbers whatever else shares the batch
            list(_single_threads().map(differentiate, [slice(i, i + 1) for i in range(len(canvases))]))
        if not np.isfinite(slopes).all():
            raise ModelError(f"{self.name}: the gradient is NaN or infinite", subject=self.name)
        return Gradients(checked_logits(self, logits, len(canvases)), slopes)

    def _in_chunks(self, call: Callable[[slice], None], count: int) -> None:
        """Call for one chunk after the other; smaller ones where the memory does not suffice."""
        at = 0
        while at < count:
            part = slice(at, min(at + self.chunk, count))
            try:
                call(part)
            except torch.OutOfMemoryError as error:
                self._shrink(error)
            else:
                at = part.stop

    def _differentiate(
        self, canvases: NDArray[np.float32], labels: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.enable_grad():
            leaf = torch.from_numpy(np.ascontiguousarray(canvases)).to(self._device).requires_grad_(True)
            inputs = leaf * self._scale_t + self._shift_t
            if self._opaque is not None:
                inputs = torch.cat([inputs, torch.full_like(inputs[..., :1], self._opaque)], dim=-1)
            answers = self._guarded(inputs)
            if self._softmaxed:
                answers = answers.clamp_min(1e-12).log()
            chosen = torch.tensor([int(label) for label in labels], device=self._device)[:, None]
            own = answers.gather(1, chosen)[:, 0]
            others = answers.scatter(1, chosen, -torch.inf).amax(dim=1)
            (slope,) = torch.autograd.grad((others - own).sum(), leaf)
        return answers.detach().cpu().numpy(), slope.cpu().numpy()


@cache
def _single_threads() -> ThreadPoolExecutor:
    """Return as many threads as there are cores, in each of which torch uses one core.

    Several images side by side keep all cores busy without the barriers of torch's own threads, which on a
    machine that others use too can take ten times as long as the work itself.
    """
    return ThreadPoolExecutor(
        max_workers=max(usable_cores(), 1),
        thread_name_prefix="medlocker-torch",
        initializer=torch.set_num_threads,
        initargs=(1,),
    )


def has_gpu() -> bool:
    """Tell whether torch would run on a GPU."""
    return bool(torch.cuda.is_available())


def load_torch(path: Path, *, name: str, device: str | None = None) -> TorchClassifier:
    """Open torch weights with the card beside them; the card names the architecture.

    Args:
        path: ``NAME.safetensors``, or a state dict ``NAME.pt``/``NAME.pth``; pickled code is refused.
        name: Short name for tables.
        device: Where to run; default a GPU if there is one.

    Raises:
        ModelError: If card and weights do not make a classifier.
    """
    check_weights_file(path)
    beside = card_path(path)
    card = load_card(beside)
    architecture = card.extra.get("architecture")
    if not isinstance(architecture, str):
        raise ModelError(
            f'model card {beside.name}: expected "architecture" with a name of timm or torchvision',
            subject=beside.name,
        )
    fingerprint = sha256_of(path)
    if _stated_digest(card, path) not in (None, fingerprint):
        raise ModelError(
            f"model {path.name}: its sha256 is not the one in {beside.name}",
            subject=path.name,
            hint="the file was changed or the card belongs to another model",
        )
    state = read_state(path)
    spec, what = card.input, f"model {path.name}"
    if card.output == "features":
        network = backbone(architecture, state, spec, what=what)
        outputs = feature_count(network, spec, what=what)
    else:
        outputs = len(card.classes) or _outputs(architecture, state)
        network = build(
            architecture, outputs=outputs, channels=spec.channels, height=spec.height, width=spec.width
        )
        load_state(network, state, what=what)
    notes: tuple[str, ...] = ()
    if card.output is None:
        notes = (f"model {name}: its card does not say what it answers, logits are assumed",)
    loaded = TorchClassifier(
        network,
        card=card,
        name=name,
        fingerprint=fingerprint,
        classes=card.classes or tuple(str(k) for k in range(outputs)),
        notes=notes,
        device=device,
    )
    loaded.fold_norms()
    return loaded


def _stated_digest(card: Card, path: Path) -> str | None:
    """Return the digest stated of these weights; ``sha256`` is of the ONNX file where there is one."""
    stated: Any = card.extra.get("weights_sha256")
    if stated is None:
        return None if path.with_suffix(".onnx").exists() else card.sha256
    return str(stated).lower()


def _outputs(architecture: str, state: Mapping[str, torch.Tensor]) -> int:
    """Return how many classes the weights' last layer has."""
    network = build(architecture, outputs=2, channels=3, height=224, width=224)
    for name in sorted(head_names(network)):
        if name in state and state[name].ndim in (1, 2, 4):
            return int(state[name].shape[0])
    raise ModelError(
        f"architecture {architecture}: the number of classes cannot be read from the weights",
        hint='name them in the card: "classes": ["healthy", "ill"]',
    )
