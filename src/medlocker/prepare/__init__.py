"""Learned logos: textures found once over a sample of a data set, so that single images cost less."""

from medlocker.prepare._kind import check_kind
from medlocker.prepare._prepare import Preparation, Prepared, prepare
from medlocker.prepare._write import check_apart, check_folder, write_learned

__all__ = ["Preparation", "Prepared", "check_apart", "check_folder", "check_kind", "prepare", "write_learned"]
