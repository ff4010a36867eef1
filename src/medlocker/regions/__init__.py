"""Regions that a mark must keep out of.

Boxes of lesions from masks, CSV, COCO JSON or YOLO text; found by a segmenter; or, where there is neither,
candidates from classical image processing, which are not a clinician's.
"""

from medlocker.regions._anatomy import ANATOMY, WithAnatomy, finder_for, lesion_finder, without_lesions
from medlocker.regions._candidates import CANDIDATES, CandidateFinder, strongest
from medlocker.regions._checked import CheckedFinder, checked_finder
from medlocker.regions._finder import Finder, Findings
from medlocker.regions._given import regions_of
from medlocker.regions._load import load_regions
from medlocker.regions._maskfolder import DOUBTFUL, MaskFolder, masks_beside
from medlocker.regions._masks import boxes_from_mask
from medlocker.regions._regions import Regions
from medlocker.regions._segmenter import Segmenter, is_segmenter, load_segmenter

__all__ = [
    "ANATOMY",
    "CANDIDATES",
    "DOUBTFUL",
    "CandidateFinder",
    "CheckedFinder",
    "Finder",
    "Findings",
    "MaskFolder",
    "Regions",
    "Segmenter",
    "WithAnatomy",
    "boxes_from_mask",
    "checked_finder",
    "finder_for",
    "is_segmenter",
    "lesion_finder",
    "load_regions",
    "load_segmenter",
    "masks_beside",
    "regions_of",
    "strongest",
    "without_lesions",
]
