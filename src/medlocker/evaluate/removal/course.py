"""Training a removal network until it gets no better; a killed training goes on where it was."""

from __future__ import annotations

import copy
import io
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medlocker.attacks import Floats
from medlocker.errors import ModelError
from medlocker.evaluate.removal._unet import UNet, count_weights
from medlocker.evaluate.removal.plan import RemoverObserver, TrainingConfig
from medlocker.evaluate.removal.windows import Pairs, WindowMaker
from medlocker.files import make_folder, write_atomic
from medlocker.machine import usable_cores

_UNMARKED = 0.2
"""What a pixel without a mark counts, against 1 of a marked one."""
_WARM_UP = 50
_AVERAGED = 0.995
_ESTIMATED_AT = 10


@dataclass(frozen=True, eq=False)
class Remover:
    """A trained network.

    Args:
        minutes: Of training, all runs together.
        weights: How many numbers it learned.
        settled: Whether training ended because nothing was gained any more.
        falling: Whether the validation loss still fell when it ended.
        curve: (step, mean absolute error of the validation windows in 0..1), marked pixels counting most.
    """

    network: nn.Module
    steps: int
    minutes: float
    weights: int
    settled: bool
    falling: bool
    curve: tuple[tuple[int, float], ...]

    def __call__(self, windows: Floats) -> Floats:
        """Repaint (N, side, side, 3) float32 windows in 0..1."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            colors = torch.from_numpy(np.ascontiguousarray(windows)).to(device).permute(0, 3, 1, 2)
            made: Tensor = self.network(colors).clamp(0, 1).permute(0, 2, 3, 1)
            return np.asarray(made.contiguous().cpu().numpy(), dtype=np.float32)


def train_remover(
    train: WindowMaker,
    validation: WindowMaker,
    course: TrainingConfig,
    *,
    seed: int,
    minutes: float = math.inf,
    folder: Path | None = None,
    digest: str = "",
    watch: RemoverObserver | None = None,
    device: str | None = None,
) -> Remover:
    """Train on marks painted anew for every step, by the mean absolute error.

    The weights are an average over the last steps; those of the best look are kept. With the same seed,
    device and number of threads the network is the same however often the training was interrupted.

    Args:
        train: Makes the windows to learn from.
        validation: Makes those by which training is ended, from other pictures.
        seed: Of weights and windows.
        minutes: Stop after so many, all runs together; a later call with more goes on.
        folder: Where the training is kept, under its digest; None keeps nothing.
        digest: From :func:`course_digest`; what is kept under another one is not used.
        device: torch's name; default a GPU if there is one.

    Raises:
        ModelError: If the loss becomes NaN.
        WriteError: If the system refuses to keep the training.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), _all_cores():
        torch.manual_seed(seed)
        run = _Training(course, place, _checkpoint(folder, digest), digest)
        run.resume()
        if run.over(minutes):
            return run.result()
        looks = _Looks(validation, course, seed, place)
        observer = watch or RemoverObserver()
        with ThreadPoolExecutor(max(usable_cores() - 1, 1)) as pool:
            feed = _WindowLoader(pool, train, course, seed, ahead=4 if place.type == "cuda" else 1)
            started, begun = time.perf_counter(), run.seconds
            first = run.step
            while not run.over(minutes):
                run.learn(feed.batch(run.step))
                run.seconds = begun + time.perf_counter() - started
                if run.step - first == _ESTIMATED_AT:
                    each = (run.seconds - begun) / _ESTIMATED_AT / 60
                    most = min(minutes - run.seconds / 60, (course.most_steps - run.step) * each)
                    observer.estimated(most)
                if run.step % course.check_every == 0 or run.step >= course.most_steps or run.late(minutes):
                    run.check(looks)
                    run.keep()
                    observer.checked(run.step, run.curve[-1][1], run.seconds / 60)
            feed.close()
        return run.result()


class _Training:
    """Everything that an interrupted training needs to go on."""

    def __init__(self, course: TrainingConfig, device: torch.device, file: Path | None, digest: str) -> None:
        self._course, self._device, self._file, self._digest = course, device, file, digest
        self.network = UNet(course.width).to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=course.lr, weight_decay=1e-4)
        self.step, self.seconds = 0, 0.0
        self.curve: list[tuple[int, float]] = []
        self._best: dict[str, Tensor] = {}
        self._best_loss = self._mark = math.inf
        self._idle = self._lowered = 0

    def over(self, minutes: float) -> bool:
        """Tell whether training has ended."""
        return self.settled or self.step >= self._course.most_steps or self.late(minutes)

    def late(self, minutes: float) -> bool:
        return self.seconds >= 60 * minutes and self.step > 0

    @property
    def settled(self) -> bool:
        return self._lowered > self._course.lowerings

    def learn(self, pairs: Pairs) -> None:
        """Take one step.

        Raises:
            ModelError: If the loss is not a number.
        """
        rate = self._course.lr * 3.0**-self._lowered * min((self.step + 1) / _WARM_UP, 1)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        loss: Any = _loss(self.network, pairs, self._device)  # torch's own types lack backward
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if not math.isfinite(float(loss.detach())):
            raise ModelError("the training loss became NaN or infinite")
        self._optimizer.step()
        self.step += 1
        kept = min(_AVERAGED, self.step / (self.step + 9))
        with torch.no_grad():
            pairs_of = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, now in pairs_of:
                mean.lerp_(now, 1 - kept)

    def check(self, looks: _Looks) -> None:
        """Look at the validation windows; lower the rate if nothing was gained for a while."""
        loss = looks.loss(self.average)
        if not math.isfinite(loss):
            raise ModelError("the validation loss became NaN or infinite")
        self.curve.append((self.step, loss))
        if loss < self._best_loss:
            self._best_loss = loss
            self._best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        # small gains count when together they are large enough
        self._idle = 0 if loss < self._mark * (1 - self._course.gain) else self._idle + 1
        if self._idle == 0:
            self._mark = loss
        elif self._idle >= self._course.patience:
            self._idle, self._lowered = 0, self._lowered + 1

    def keep(self) -> None:
        """Write everything to disk.

        Raises:
            WriteError: If the system refuses.
        """
        if self._file is None:
            return
        make_folder(self._file.parent)
        stream = io.BytesIO()
        torch.save(
            {
                "digest": self._digest,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "best": self._best,
                "numbers": [
                    float(self.step),
                    self.seconds,
                    self._best_loss,
                    self._mark,
                    float(self._idle),
                    float(self._lowered),
                ],
                "curve": [list(point) for point in self.curve],
            },
            stream,
        )
        write_atomic(self._file, stream.getvalue(), overwrite=True)

    def resume(self) -> None:
        """Go on from what :meth:`keep` wrote; a file of another training, or a damaged one, is not used."""
        if self._file is None or not self._file.is_file():
            return
        try:
            state: Any = torch.load(self._file, weights_only=True, map_location=self._device)
            if state["digest"] != self._digest:
                return
            fresh = copy.deepcopy(self.network)
            fresh.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.network.load_state_dict(state["network"])
            numbers = state["numbers"]
        except Exception:  # a torn or foreign file fails in countless ways; all mean "start anew"
            return
        self.step, self._idle, self._lowered = (int(numbers[k]) for k in (0, 4, 5))
        self.seconds, self._best_loss, self._mark = (float(numbers[k]) for k in (1, 2, 3))
        self._best = state["best"]
        self.curve = [(int(step), float(loss)) for step, loss in state["curve"]]

    def result(self) -> Remover:
        """Return the network with the weights of the best look."""
        self.average.load_state_dict(self._best)
        return Remover(
            self.average,
            steps=self.step,
            minutes=self.seconds / 60,
            weights=count_weights(self.average),
            settled=self.settled,
            falling=not self.settled and self._idle == 0,
            curve=tuple(self.curve),
        )


class _Looks:
    """The validation windows, the same ones at every look."""

    def __init__(self, maker: WindowMaker, course: TrainingConfig, seed: int, device: torch.device) -> None:
        count = max(course.checked // maker.cuts, 1)
        made = [maker.make((seed, 0, number)) for number in range(count)]
        self._pairs = _joined(made)
        self._batch, self._device = max(course.batch, 1), device

    def loss(self, network: nn.Module) -> float:
        network.eval()
        losses = []
        with torch.inference_mode():
            for start in range(0, len(self._pairs.clean), self._batch):
                part = slice(start, start + self._batch)
                some = Pairs(self._pairs.painted[part], self._pairs.clean[part])
                losses.append((float(_loss(network, some, self._device)), len(some.clean)))
        return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


class _WindowLoader:
    """Paints the windows of the next steps while the network learns from those of this one."""

    def __init__(
        self, pool: ThreadPoolExecutor, maker: WindowMaker, course: TrainingConfig, seed: int, *, ahead: int
    ) -> None:
        self._pool, self._maker, self._seed, self._ahead = pool, maker, seed, ahead
        self._count = max(course.batch // maker.cuts, 1)
        self._waiting: deque[tuple[int, list[Future[Pairs]]]] = deque()

    def batch(self, step: int) -> Pairs:
        """Return the windows of a step; steps follow each other."""
        following = self._waiting[-1][0] + 1 if self._waiting else step
        while following <= step + self._ahead:
            seeds = [(self._seed, 1 + following, number) for number in range(self._count)]
            self._waiting.append((following, [self._pool.submit(self._maker.make, seed) for seed in seeds]))
            following += 1
        return _joined([one.result() for one in self._waiting.popleft()[1]])

    def close(self) -> None:
        """Give up what is not needed any more."""
        for _, futures in self._waiting:
            for future in futures:
                future.cancel()


def _joined(pairs: Sequence[Pairs]) -> Pairs:
    return Pairs(np.concatenate([one.painted for one in pairs]), np.concatenate([one.clean for one in pairs]))


def _loss(network: nn.Module, pairs: Pairs, device: torch.device) -> Tensor:
    painted, clean = (
        torch.from_numpy(part).to(device).permute(0, 3, 1, 2).float().div_(255)
        for part in (pairs.painted, pairs.clean)
    )
    share = (painted != clean).any(dim=1, keepdim=True).float().add_(_UNMARKED)
    error = (network(painted) - clean).abs() * share
    mean: Tensor = error.sum() / (3 * share.sum())
    return mean


def _checkpoint(folder: Path | None, digest: str) -> Path | None:
    return None if folder is None else folder / f"removal-network-{digest[:16]}.pt"


@contextmanager
def _all_cores() -> Iterator[None]:
    """Let torch use all cores for once: the battery keeps libraries to one thread each."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
