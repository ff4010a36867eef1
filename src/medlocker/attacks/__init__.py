"""What is done to pictures to be rid of a mark, or by the way: shared by the search and by the battery.

Everything here works on one (H, W, 3) uint8 RGB picture, knows no model, and returns a new picture.
"""

from medlocker.attacks._denoise import fewer_bits, non_local_means, to_bytes, total_variation, wavelets
from medlocker.attacks._fill import fill_biharmonic, fill_harmonic, fill_mean, fill_telea, smoothest
from medlocker.attacks._named import (
    ATTACK_NAMES,
    BLUR_SIGMA_PX,
    CROP_SHARE,
    RESIZE_SCALE,
    Attack,
    attack_capped,
    attack_name,
    attack_uncapped,
    find_attack,
    run_attack,
)
from medlocker.attacks._notch import notch
from medlocker.attacks._pictures import (
    CAPPED_PX,
    Bytes,
    Floats,
    Mask,
    Window,
    around,
    as_bytes,
    changed,
    shrink,
    shrink_mask,
    widened,
    windows_of,
)
from medlocker.attacks._transforms import crop_middle, downscale_and_upscale, gaussian, jpeg, median, mirror

__all__ = [
    "ATTACK_NAMES",
    "BLUR_SIGMA_PX",
    "CAPPED_PX",
    "CROP_SHARE",
    "RESIZE_SCALE",
    "Attack",
    "Bytes",
    "Floats",
    "Mask",
    "Window",
    "around",
    "as_bytes",
    "attack_capped",
    "attack_name",
    "attack_uncapped",
    "changed",
    "crop_middle",
    "downscale_and_upscale",
    "fewer_bits",
    "fill_biharmonic",
    "fill_harmonic",
    "fill_mean",
    "fill_telea",
    "find_attack",
    "gaussian",
    "jpeg",
    "median",
    "mirror",
    "non_local_means",
    "notch",
    "run_attack",
    "shrink",
    "shrink_mask",
    "smoothest",
    "to_bytes",
    "total_variation",
    "wavelets",
    "widened",
    "windows_of",
]
