"""What a caller may want to see of a battery."""

from __future__ import annotations

from medlocker.evaluate.removal.plan import RemoverObserver


class BatteryObserver:
    """What a caller may want to see; every method does nothing here."""

    def studying(self, marks: int) -> None:
        """So many marks are being studied by the attackers who need several."""

    def training(self, attack: str) -> None:
        """An attack's network is being trained, which takes minutes."""

    def learned(self, attack: str) -> None:
        """An attack has been learned."""

    def attacked(self, name: str) -> None:
        """All attacks on an image are finished; also called for images of an earlier run."""

    def estimated(self, attack: str, minutes: float) -> None:
        """An attack's network takes this many minutes more at most; told after a few steps."""

    def trained(self, attack: str, steps: int, loss: float, minutes: float) -> None:
        """An attack's network was looked at: validation loss after so many steps and minutes."""

    def retraining(self, target: str) -> None:
        """A target is being trained on."""


def training_observer(watch: BatteryObserver, name: str) -> RemoverObserver:
    """Pass on what a training tells of itself."""

    class Passed(RemoverObserver):
        def estimated(self, minutes: float) -> None:
            watch.estimated(name, minutes)

        def checked(self, step: int, loss: float, minutes: float) -> None:
            watch.trained(name, step, loss, minutes)

    return Passed()
