"""Prepared logos: what is found once over a sample of a data set, so that single images cost less.

For the preset ``strong`` textures of the logo's own pixels, for the preset ``veil`` how veils look.
"""

from medlocker.prepare._forecast import ModelForecast
from medlocker.prepare._kind import check_kind
from medlocker.prepare._prepare import Preparation, Prepared, prepare
from medlocker.prepare._veil import (
    VEIL_BUDGET,
    VEIL_SAMPLE,
    ChosenVeil,
    Forecast,
    Progress,
    VeilPreparation,
    prepare_veil,
)
from medlocker.prepare._write import check_apart, check_folder, write_learned, write_veil

__all__ = [
    "VEIL_BUDGET",
    "VEIL_SAMPLE",
    "ChosenVeil",
    "Forecast",
    "ModelForecast",
    "Preparation",
    "Prepared",
    "Progress",
    "VeilPreparation",
    "check_apart",
    "check_folder",
    "check_kind",
    "prepare",
    "prepare_veil",
    "write_learned",
    "write_veil",
]
