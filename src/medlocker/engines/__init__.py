"""Engines: where the work on single images is done, in this process, in others, or on a cluster."""

from medlocker.engines._engine import Common, Engine, EngineMaker, EngineRequest
from medlocker.engines._local import LocalEngine
from medlocker.engines._processes import process_engine
from medlocker.engines._ray import ray_engine
from medlocker.engines._strategy import make_search, search_warning

__all__ = [
    "Common",
    "Engine",
    "EngineMaker",
    "EngineRequest",
    "LocalEngine",
    "make_search",
    "process_engine",
    "ray_engine",
    "search_warning",
]
