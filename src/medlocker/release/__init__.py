"""A whole data set: inputs, resuming, threads, and the finished release."""

from medlocker.release._engine import EngineMaker
from medlocker.release._inputs import IMAGE_SUFFIXES, Input, Inputs, find_inputs
from medlocker.release._journal import FOLDER, is_unfinished, kept_of
from medlocker.release._local import LocalEngine
from medlocker.release._processes import process_engine
from medlocker.release._ray import ray_engine
from medlocker.release._run import Result, Run, check_target, run_release
from medlocker.release._sample import cluster_features, images_to_sample
from medlocker.release._starting import starting
from medlocker.release._status import RunStatus, count_there, status_of
from medlocker.release._strategy import make_search, way_taken
from medlocker.release._summary import Summary, peak_rss_mb

__all__ = [
    "FOLDER",
    "IMAGE_SUFFIXES",
    "EngineMaker",
    "Input",
    "Inputs",
    "LocalEngine",
    "Result",
    "Run",
    "RunStatus",
    "Summary",
    "check_target",
    "cluster_features",
    "count_there",
    "find_inputs",
    "images_to_sample",
    "is_unfinished",
    "kept_of",
    "make_search",
    "peak_rss_mb",
    "process_engine",
    "ray_engine",
    "run_release",
    "starting",
    "status_of",
    "way_taken",
]
