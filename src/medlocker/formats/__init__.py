"""One folder per file format: everything that reads, writes and marks files of that format."""

from medlocker.formats._glance import Glance, release
from medlocker.formats._keep import KEEPABLE, NOTHING, Keep, check_keep
from medlocker.formats._layer import LAYERED, layer_between, with_layers, without_layers
from medlocker.formats._method import MarkedFile
from medlocker.formats._methods import METHODS, influence_box, mark_file, unaffected_box, unmark_file
from medlocker.formats._registry import (
    encode_frames,
    encode_image,
    glance_image,
    metadata_digest,
    read_image,
)
from medlocker.formats._told import told_by

__all__ = [
    "KEEPABLE",
    "LAYERED",
    "METHODS",
    "NOTHING",
    "Glance",
    "Keep",
    "MarkedFile",
    "check_keep",
    "encode_frames",
    "encode_image",
    "glance_image",
    "influence_box",
    "layer_between",
    "mark_file",
    "metadata_digest",
    "read_image",
    "release",
    "told_by",
    "unaffected_box",
    "unmark_file",
    "with_layers",
    "without_layers",
]
