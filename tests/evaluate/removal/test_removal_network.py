"""The network that learns to remove marks: what it gains, and how its training ends and goes on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from removal_samples import LOGO, Bytes, QuadrantClassifier, gentle, items, marked_photograph

from medlocker.errors import InputError, ModelError, WriteError
from medlocker.evaluate.removal import BatteryObserver, BatteryResult, MarkPainter, _levels, psnr, run_battery
from medlocker.evaluate.removal._network import NAME, NetworkAttack, NetworkLearner
from medlocker.evaluate.removal.plan import RemoverObserver, TrainingConfig, training_digest
from medlocker.evaluate.removal.tiles import repaint
from medlocker.evaluate.removal.windows import WindowMaker, digest_of
from medlocker.logo import Logo
from medlocker.veilstyle import VeilStyle

torch = pytest.importorskip("torch")
from medlocker.evaluate.removal import course as course_module  # noqa: E402
from medlocker.evaluate.removal._unet import UNet, count_weights  # noqa: E402
from medlocker.evaluate.removal.course import Remover, train_remover  # noqa: E402

TINY = TrainingConfig(side_px=32, width=4, batch=2, check_every=3, most_steps=6, checked=2)
EASY = VeilStyle(period=0.3, fill=0.9, opacity=0.4, texture=0, warp=0, stamps=2, mounted=False)
"""Nothing hides the logo: no texture, no warp."""
PAINT = MarkPainter(LOGO, kinds=("veil",), styles=(EASY,))
PICTURES = [gentle(seed, 64) for seed in range(6)]


def maker(pictures: list[Bytes] = PICTURES, side_px: int = 32) -> WindowMaker:
    return WindowMaker(pictures, PAINT, side_px=side_px, longest_px=64)


def digest(course: TrainingConfig = TINY, paint: MarkPainter = PAINT, seed: int = 0) -> str:
    return training_digest(
        course, painter=paint.digest, pictures=digest_of(PICTURES), longest_px=64, seed=seed
    )


def train(course: TrainingConfig = TINY, **more: Any) -> Remover:
    return train_remover(maker(), maker([gentle(9, 64)]), course, seed=0, **more)


def weights(remover: Remover) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in remover.network.state_dict().values()]


def assert_same(one: Remover, other: Remover) -> None:
    for mine, its in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert one.curve == other.curve


# ------------------------------------------------------------------------------------------ what it gains


def test_the_network_is_large_enough_to_be_a_fair_attacker() -> None:
    assert count_weights(UNet(TrainingConfig().width)) >= 1_000_000


def test_a_plain_veil_is_removed_from_pictures_never_seen() -> None:
    course = TrainingConfig(side_px=32, width=8, batch=8, lr=5e-3, check_every=40, most_steps=120, checked=8)
    made = train(course)
    clean = gentle(77, 64)
    veiled = PAINT(clean, np.random.default_rng(5))
    mask = (veiled != clean).any(axis=2)
    before, after = (psnr(one, clean, mask) for one in (veiled, repaint(veiled, made, side_px=32)))
    assert after > before + 4
    # it does not live on changing what is clean already
    assert psnr(repaint(clean, made, side_px=32), clean, np.ones_like(mask)) > before + 4


def test_without_public_images_or_a_logo_nothing_is_learned() -> None:
    one = marked_photograph(0).evidence
    for crowd, public in (([one], ()), ([replace(one, logo=None)], PICTURES)):
        with pytest.raises(InputError, match="expected the logo and clean images of the same kind"):
            NetworkLearner().learn(crowd, public=public, seed=0)


@pytest.mark.usefixtures("tiny")
def test_who_does_not_know_the_logo_has_no_row_of_the_network() -> None:
    result = attack(logo=None)
    assert [row.attack for row in result.rows] == ["none"]
    (note,) = result.notes
    assert note.endswith("broke down: expected the logo and clean images of the same kind")


def test_only_what_is_marked_is_repainted() -> None:
    one = marked_photograph(0)
    made = NetworkAttack(lambda tiles: np.zeros_like(tiles), 32).restore(one.evidence)[NAME]
    assert (made[one.evidence.mask] == 0).all()
    np.testing.assert_array_equal(made[~one.evidence.mask], one.pixels[~one.evidence.mask])


# ------------------------------------------------------------------------------------- ending and going on


class Killed(RemoverObserver):
    """Ends a training like Ctrl-C at its so manieth look."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def checked(self, step: int, loss: float, minutes: float) -> None:
        self._looks -= 1
        if not self._looks:
            raise KeyboardInterrupt


def test_a_killed_training_goes_on_to_the_same_network(tmp_path: Path) -> None:
    whole = train()
    with pytest.raises(KeyboardInterrupt):
        train(folder=tmp_path, digest=digest(), watch=Killed(1))
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"removal-network-{digest()[:16]}.pt"
    resumed = train(folder=tmp_path, digest=digest())
    assert [step for step, _ in resumed.curve] == [3, 6]
    assert_same(whole, resumed)
    assert whole.steps == 6
    assert not whole.settled


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(folder=tmp_path, digest=digest())
    monkeypatch.setattr(WindowMaker, "make", None)
    assert_same(first, train(folder=tmp_path, digest=digest()))


def test_what_belongs_to_another_training_is_not_used(tmp_path: Path) -> None:
    others = [
        digest(replace(TINY, lr=0.1)),
        digest(paint=replace(PAINT, logo=replace(LOGO, rgba=LOGO.rgba[::-1].copy()))),
        digest(seed=1),
    ]
    assert len({*others, digest()}) == 4
    train(replace(TINY, lr=0.1), folder=tmp_path, digest=others[0])
    mine = tmp_path / f"removal-network-{digest()[:16]}.pt"
    assert not mine.exists()
    # even under the right name
    shutil.copy(tmp_path / f"removal-network-{others[0][:16]}.pt", mine)
    assert_same(train(), train(folder=tmp_path, digest=digest()))


@pytest.mark.parametrize("left", [0, 1000])
def test_a_damaged_training_is_started_anew(tmp_path: Path, left: int) -> None:
    whole = train(folder=tmp_path, digest=digest())
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:left])
    assert_same(whole, train(folder=tmp_path, digest=digest()))


def test_a_training_stops_with_its_time_and_goes_on_with_more(tmp_path: Path) -> None:
    stopped = train(folder=tmp_path, digest=digest(), minutes=1e-9)
    assert stopped.steps == 1
    assert stopped.falling
    assert train(folder=tmp_path, digest=digest(), minutes=1e-9).steps == 1
    assert train(folder=tmp_path, digest=digest(), minutes=60).steps == 6


def test_a_training_ends_when_nothing_is_gained() -> None:
    still = replace(TINY, lr=1e-12, check_every=1, patience=2, lowerings=1, most_steps=100)
    ended = train(still)
    assert ended.settled
    assert not ended.falling
    assert ended.steps == 5  # the first look always gains


def test_numbers_that_run_away_end_the_training() -> None:
    with pytest.raises(ModelError, match="loss became NaN or infinite"):
        train(replace(TINY, lr=1e30))


def test_windows_of_a_strange_size_are_refused() -> None:
    with pytest.raises(InputError, match="expected windows of 16, 32"):
        TrainingConfig(side_px=40)


# ------------------------------------------------------------------------------------------ in the battery


class Watch(BatteryObserver):
    def __init__(self) -> None:
        self.said: list[str] = []

    def trained(self, attack: str, steps: int, loss: float, minutes: float) -> None:
        self.said.append(f"{attack} {steps}")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_levels, "NetworkLearner", partial(NetworkLearner, course=TINY))


def attack(*, logo: Logo | None = LOGO, **more: Any) -> BatteryResult:
    return run_battery(items(4), [QuadrantClassifier()], logo=logo, level="full", names=[NAME], **more)


@pytest.mark.usefixtures("tiny")
def test_a_battery_tells_how_its_network_was_trained(tmp_path: Path) -> None:
    watch = Watch()
    result = attack(state_dir=tmp_path, observer=watch, minutes=1e-9)
    (note,) = result.notes
    assert note.startswith("removal network: ")
    assert note.endswith("1 steps, stopped after 0.0 minutes, validation loss still falling")
    assert watch.said == ["removal network 1"]
    row = result.row(NAME, "quadrants")
    assert row.n == 2  # it learned from the clean images of the others
    assert row.control == 1.0
    assert len(list(tmp_path.glob("removal-network-*.pt"))) == 1


@pytest.mark.usefixtures("tiny")
def test_a_full_disk_costs_only_this_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> NoReturn:
        raise WriteError("cannot write removal-network.pt: no space left on device")

    monkeypatch.setattr(course_module, "write_atomic", full)
    result = attack(state_dir=tmp_path)
    assert [row.attack for row in result.rows] == ["none"]
    assert result.notes == (
        "attack removal network: left out, its training broke down: cannot write removal-network.pt: no "
        "space left on device",
    )


def test_no_time_is_refused() -> None:
    with pytest.raises(InputError, match="expected minutes of training above 0, got 0"):
        attack(minutes=0)
