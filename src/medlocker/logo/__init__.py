"""The logo: loading, the built-in one, rendering at any size and angle, and the one integer blend."""

from medlocker.logo._badge import is_faint, mounted
from medlocker.logo._blend import ONE, blend, spread_weight, unblend, weights
from medlocker.logo._builtin import builtin_logo
from medlocker.logo._hardening import Hardening, stream
from medlocker.logo._lattice import MAX_STAMPS, Lattice, lattice_looks, lattice_places, render_lattice
from medlocker.logo._learned import (
    ANY_CLASS,
    LEARNED_FILE,
    LOGO_FILE,
    LearnedLogo,
    load_learned,
    read_prepared,
)
from medlocker.logo._logo import MAX_FILE_BYTES, Logo, load_logo
from medlocker.logo._overlay import MAX_CELLS, overlay_matrix, pack_overlay, unpack_overlay
from medlocker.logo._render import Raster, fit_color, render, render_bent, render_once, rendered_size

__all__ = [
    "ANY_CLASS",
    "LEARNED_FILE",
    "LOGO_FILE",
    "MAX_CELLS",
    "MAX_FILE_BYTES",
    "MAX_STAMPS",
    "ONE",
    "Hardening",
    "Lattice",
    "LearnedLogo",
    "Logo",
    "Raster",
    "blend",
    "builtin_logo",
    "fit_color",
    "is_faint",
    "lattice_looks",
    "lattice_places",
    "load_learned",
    "load_logo",
    "mounted",
    "overlay_matrix",
    "pack_overlay",
    "read_prepared",
    "render",
    "render_bent",
    "render_lattice",
    "render_once",
    "rendered_size",
    "spread_weight",
    "stream",
    "unblend",
    "unpack_overlay",
    "weights",
]
