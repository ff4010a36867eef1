"""A whole data set: inputs, resuming, threads, and the finished release."""

from medlocker.release._copies import Copied, find_copies
from medlocker.release._inputs import IMAGE_SUFFIXES, Input, Inputs, find_inputs
from medlocker.release._journal import FOLDER, is_unfinished, kept_of
from medlocker.release._preview import Previewed, preview_run
from medlocker.release._run import Result, Run, run_release
from medlocker.release._sample import cluster_features, images_to_sample
from medlocker.release._startmarker import start_marker
from medlocker.release._status import RunStatus, count_existing, status_of
from medlocker.release._summary import Summary
from medlocker.release._target import check_target

__all__ = [
    "FOLDER",
    "IMAGE_SUFFIXES",
    "Copied",
    "Input",
    "Inputs",
    "Previewed",
    "Result",
    "Run",
    "RunStatus",
    "Summary",
    "check_target",
    "cluster_features",
    "count_existing",
    "find_copies",
    "find_inputs",
    "images_to_sample",
    "is_unfinished",
    "kept_of",
    "preview_run",
    "run_release",
    "start_marker",
    "status_of",
]
