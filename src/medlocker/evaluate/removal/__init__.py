"""What attackers get who try to remove marks before classifying: the battery of docs/THREAT_MODEL.md."""

from medlocker.attacks import fill_biharmonic, fill_harmonic, fill_mean, fill_telea
from medlocker.evaluate.removal._battery import MOST_STUDIED, run_battery
from medlocker.evaluate.removal._breakdowns import BREAKDOWNS
from medlocker.evaluate.removal._colors import candidates, weigh_colors
from medlocker.evaluate.removal._evidence import (
    WHOLE_PX,
    Attack,
    ClassifierView,
    Control,
    Evidence,
    Learner,
    VotingAttack,
)
from medlocker.evaluate.removal._invert import Inverted, blind
from medlocker.evaluate.removal._item import Item, ScaledImage
from medlocker.evaluate.removal._known import STANDARD_TEXTURE, STANDARD_WARP
from medlocker.evaluate.removal._levels import NEED_THE_LOGO, Battery, Level, make_battery
from medlocker.evaluate.removal._locate import MarkGuess
from medlocker.evaluate.removal._measures import psnr
from medlocker.evaluate.removal._network import NetworkLearner
from medlocker.evaluate.removal._observer import BatteryObserver
from medlocker.evaluate.removal._painter import DENSE_STYLE, Kind, MarkPainter
from medlocker.evaluate.removal._result import Agreement, BatteryResult, Best, Gap, Row
from medlocker.evaluate.removal._state import STATE, STATE_VERSION, State, VariantResult
from medlocker.evaluate.removal._users import USERS_NUMBER
from medlocker.evaluate.removal._verdict import RESTORED_DB, UNDOING, verdict
from medlocker.evaluate.removal._warp import fit_warp
from medlocker.options import DEFAULT_MINUTES

__all__ = [
    "BREAKDOWNS",
    "DEFAULT_MINUTES",
    "DENSE_STYLE",
    "MOST_STUDIED",
    "NEED_THE_LOGO",
    "RESTORED_DB",
    "STANDARD_TEXTURE",
    "STANDARD_WARP",
    "STATE",
    "STATE_VERSION",
    "UNDOING",
    "USERS_NUMBER",
    "WHOLE_PX",
    "Agreement",
    "Attack",
    "Battery",
    "BatteryObserver",
    "BatteryResult",
    "Best",
    "ClassifierView",
    "Control",
    "Evidence",
    "Gap",
    "Inverted",
    "Item",
    "Kind",
    "Learner",
    "Level",
    "MarkGuess",
    "MarkPainter",
    "NetworkLearner",
    "Row",
    "ScaledImage",
    "State",
    "VariantResult",
    "VotingAttack",
    "blind",
    "candidates",
    "fill_biharmonic",
    "fill_harmonic",
    "fill_mean",
    "fill_telea",
    "fit_warp",
    "make_battery",
    "psnr",
    "run_battery",
    "verdict",
    "weigh_colors",
]
