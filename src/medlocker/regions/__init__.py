"""Regions that a mark must keep out of: boxes of lesions from masks, CSV, COCO JSON or YOLO text."""

from medlocker.regions._load import load_regions
from medlocker.regions._masks import boxes_from_mask
from medlocker.regions._regions import Regions

__all__ = ["Regions", "boxes_from_mask", "load_regions"]
