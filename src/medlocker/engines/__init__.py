"""Engines: where the work on single images is done, in this process, in others, or on a cluster."""

from medlocker.engines._engine import Common, Duty, Engine, EngineMaker
from medlocker.engines._local import LocalEngine
from medlocker.engines._processes import process_engine
from medlocker.engines._ray import ray_engine
from medlocker.engines._strategy import make_search, way_taken

__all__ = [
    "Common",
    "Duty",
    "Engine",
    "EngineMaker",
    "LocalEngine",
    "make_search",
    "process_engine",
    "ray_engine",
    "way_taken",
]
