"""Searches for marks that mislead models: one template, one file per strategy, one driver that batches."""

from medlocker.search._base import Found, Proposal, Scored, Search
from medlocker.search._batchscheduler import BackgroundTask, BatchScheduler, Clock, Task, file_threads
from medlocker.search._bhe import BheSearch
from medlocker.search._evolution import EvolutionSearch
from medlocker.search._guided import GradientSearch, ScreenedSearch
from medlocker.search._learn import (
    FEWEST_OF_CLASS,
    LearningEpoch,
    LearningExample,
    learn_textures,
    random_layout,
    share_fooled,
)
from medlocker.search._named import (
    AUTO,
    AnySearch,
    known_search,
    make_one,
    search_name,
)
from medlocker.search._problem import Candidate, Problem
from medlocker.search._questions import Ask, ModelAnswers, margins_of
from medlocker.search._random import RandomSearch
from medlocker.search._square import SquareSearch
from medlocker.search._texture import TextureSearch
from medlocker.search.preview import Preview, is_coarse, work_step

__all__ = [
    "AUTO",
    "FEWEST_OF_CLASS",
    "AnySearch",
    "Ask",
    "BackgroundTask",
    "BatchScheduler",
    "BheSearch",
    "Candidate",
    "Clock",
    "EvolutionSearch",
    "Found",
    "GradientSearch",
    "LearningEpoch",
    "LearningExample",
    "ModelAnswers",
    "Preview",
    "Problem",
    "Proposal",
    "RandomSearch",
    "Scored",
    "ScreenedSearch",
    "Search",
    "SquareSearch",
    "Task",
    "TextureSearch",
    "file_threads",
    "is_coarse",
    "known_search",
    "learn_textures",
    "make_one",
    "margins_of",
    "random_layout",
    "search_name",
    "share_fooled",
    "work_step",
]
