"""Measuring how well a release protects: targets by conditions, quality, and the report; no search here."""

from medlocker.evaluate._attacked import Attackers, MarkedImages, Removal, gather_attackers, worst_first
from medlocker.evaluate._attacked_state import forget_state
from medlocker.evaluate._cases import Case, CaseAnswer
from medlocker.evaluate._control import DEFAULT_SIZE, Control
from medlocker.evaluate._marks import find_marks
from medlocker.evaluate._numbers import Condition, Numbers, RemainingAccuracy, TargetNumbers, summarise
from medlocker.evaluate._pairs import CLEAN, PANEL, PROTECTED, RANDOM, Original, Pair, Pairs, Release, pair_up
from medlocker.evaluate._panel import Panel, lay_panel
from medlocker.evaluate._processing import Scene, View
from medlocker.evaluate._qualities import ReleaseQuality, summarise_quality
from medlocker.evaluate._quality import Quality, measure_quality, ssim_map
from medlocker.evaluate._run import EvaluatedImage, Evaluation, Result, evaluate
from medlocker.evaluate._sidechannels import ImageFeatures, SideChannel, measure_side_channels, trace
from medlocker.evaluate._targets import Target, open_targets
from medlocker.evaluate.report import (
    Advice,
    Finding,
    ReportNotes,
    advise,
    auc_text,
    check_report,
    findings,
    gain_text,
    kappa_text,
    to_json,
    write_report,
)
from medlocker.options import DEFAULT_LIMIT, DEFAULT_MINUTES, DEFAULT_OPACITY

__all__ = [
    "CLEAN",
    "DEFAULT_LIMIT",
    "DEFAULT_MINUTES",
    "DEFAULT_OPACITY",
    "DEFAULT_SIZE",
    "PANEL",
    "PROTECTED",
    "RANDOM",
    "Advice",
    "Attackers",
    "Case",
    "CaseAnswer",
    "Condition",
    "Control",
    "EvaluatedImage",
    "Evaluation",
    "Finding",
    "ImageFeatures",
    "MarkedImages",
    "Numbers",
    "Original",
    "Pair",
    "Pairs",
    "Panel",
    "Quality",
    "Release",
    "ReleaseQuality",
    "RemainingAccuracy",
    "Removal",
    "ReportNotes",
    "Result",
    "Scene",
    "SideChannel",
    "Target",
    "TargetNumbers",
    "View",
    "advise",
    "auc_text",
    "check_report",
    "evaluate",
    "find_marks",
    "findings",
    "forget_state",
    "gain_text",
    "gather_attackers",
    "kappa_text",
    "lay_panel",
    "measure_quality",
    "measure_side_channels",
    "open_targets",
    "pair_up",
    "ssim_map",
    "summarise",
    "summarise_quality",
    "to_json",
    "trace",
    "worst_first",
    "write_report",
]
