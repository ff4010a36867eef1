"""What makes runs fast: each choice against what it replaced, as ratios of one run; and where the time goes.

MEDLOCKER_DATA=... python benchmarks/speed.py      needs the models of benchmarks/surrogates.py

All ways of a comparison take turns, so a machine that others use too slows all of them alike.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from _idrid import data_folder
from _tables import table
from medlocker.certificates import new_owner
from medlocker.classifiers.pytorch import load_torch
from medlocker.formats import encode_image, read_image
from medlocker.logo import pack_overlay
from medlocker.machine import usable_cores
from medlocker.search.preview import block_mean

SURROGATES = Path(".cache/surrogates")
NAMES = ("idrid-efficientnet_lite0", "idrid-mobilenetv2_100")
PICTURES, ROUNDS = 16, 7
COMMAND = (sys.executable, "-c", "from medlocker.cli import main; main()")

Ways = dict[str, Callable[[], object]]


def compare(ways: Ways) -> list[list[str]]:
    """Return rows of (way, milliseconds, share of the first way's), medians of rounds."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for call in ways.values():
        call()  # once without the clock: caches, threads, memory
    for _ in range(ROUNDS):
        for name, call in ways.items():
            started = time.perf_counter()
            call()
            spent[name].append(1e3 * (time.perf_counter() - started))
    first = median(next(iter(spent.values())))
    return [[name, f"{median(ms):.1f}", f"{median(ms) / first:.2f}"] for name, ms in spent.items()]


def tell(title: str, ways: Ways) -> None:
    print(f"\n{title}\n\n{table(('way', 'ms', 'of the first'), compare(ways))}", flush=True)


def gradient_ways(name: str) -> Ways:
    """Ways to differentiate the margins of some pictures."""
    model = load_torch(SURROGATES / name / "model.safetensors", name=name)
    plain = copy.copy(model)
    plain._answering = model.network
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (PICTURES, model.height, model.width, 3)).astype(np.float32)
    labels = [0] * PICTURES
    inputs = torch.from_numpy(pictures.transpose(0, 3, 1, 2)) / 128 - 1
    contiguous = copy.deepcopy(model.network).to(memory_format=torch.contiguous_format)
    single = ThreadPoolExecutor(usable_cores(), initializer=torch.set_num_threads, initargs=(1,))

    def differentiate(network: torch.nn.Module, some: torch.Tensor, *, bf16: bool = False) -> torch.Tensor:
        leaf = some.clone().requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            answers = network(leaf)
        (slopes,) = torch.autograd.grad(answers[:, 0].float().sum(), leaf)
        return slopes

    def each(network: torch.nn.Module, some: torch.Tensor, *, bf16: bool = False) -> object:
        pieces = [some[i : i + 1] for i in range(len(some))]
        return list(single.map(partial(differentiate, network, bf16=bf16), pieces))

    last = inputs.contiguous(memory_format=torch.channels_last)
    return {
        "channels first, batch norms": lambda: each(contiguous, inputs),
        "channels last": lambda: plain.gradients(pictures, labels),
        "channels last, norms folded: medlocker": lambda: model.gradients(pictures, labels),
        "the same in bfloat16": lambda: each(model._answering, last, bf16=True),
        "the same, all pictures in one call of torch's threads": lambda: differentiate(
            model._answering, last
        ),
    }


def signs_kept(name: str) -> float:
    """Return the share of gradient components whose sign bfloat16 keeps."""
    model = load_torch(SURROGATES / name / "model.safetensors", name=name)
    some = torch.randn(4, 3, model.height, model.width, generator=torch.Generator().manual_seed(0))
    slopes = []
    for bf16 in (False, True):
        leaf = some.clone().requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            answers = model._answering(leaf)
        slopes.append(torch.autograd.grad(answers[:, 0].float().sum(), leaf)[0].sign())
    return float((slopes[0] == slopes[1]).float().mean())


def answer_ways(name: str) -> Ways:
    """Ways to classify some pictures."""
    model = load_torch(SURROGATES / name / "model.safetensors", name=name)
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (PICTURES, model.height, model.width, 3)).astype(np.float32)
    batch = model.normalise(pictures)
    planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    few = min(usable_cores(), 2)

    def asked(session: onnxruntime.InferenceSession, size: int) -> None:
        entry = session.get_inputs()[0].name
        for start in range(0, PICTURES, size):
            session.run(None, {entry: planes[start : start + size]})

    path = SURROGATES / name / "model.onnx"
    quiet, spinning, alone = (
        _session(path, threads, spin) for threads, spin in ((few, "0"), (few, "1"), (1, "0"))
    )
    halves = [_session(path, 1, "0") for _ in range(few)]
    threads = ThreadPoolExecutor(few)
    return {
        "torch": lambda: model.logits(pictures),
        "ONNX Runtime, one picture a call": lambda: asked(quiet, 1),
        "ONNX Runtime, 4 a call": lambda: asked(quiet, 4),
        "ONNX Runtime, 16 a call: medlocker": lambda: asked(quiet, 16),
        "the same, threads that wait spinning": lambda: asked(spinning, 16),
        "the same, one thread": lambda: asked(alone, 16),
        "the same, a session of one thread for each core": lambda: list(
            threads.map(
                lambda k: halves[k].run(None, {halves[k].get_inputs()[0].name: planes[k::few]}), range(few)
            )
        ),
    }


def _session(path: Path, threads: int, spin: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", spin)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def texture_ways() -> Ways:
    """Ways to write down the textures of candidates; theirs are signs times 32, zero outside the logo."""
    rng = np.random.default_rng(0)
    cells = [(32 * rng.choice([-1, 1], (56, 56, 3))).astype(np.int8) for _ in range(20)]
    for one in cells:
        one[np.hypot(*np.mgrid[-28:28, -28:28]) > 24] = 0

    def thorough(one: NDArray[np.int8]) -> str:
        return base64.b64encode(zlib.compress(bytes(one.shape[:2]) + one.tobytes(), 9)).decode("ascii")

    before, after = (sum(map(len, map(pack, cells))) for pack in (thorough, pack_overlay))
    return {
        f"deflate, level 9 ({before // 20} characters)": lambda: list(map(thorough, cells)),
        f"deflate, runs only ({after // 20} characters): medlocker": lambda: list(map(pack_overlay, cells)),
    }


def slow_block_mean(values: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
    """Average over blocks by two of numpy's sums; the sides are multiples of the step."""
    across = np.add.reduceat(values, np.arange(0, values.shape[1], step), axis=1, dtype=np.uint32)
    sums = np.add.reduceat(across, np.arange(0, len(values), step), axis=0)
    return np.asarray(sums / step**2, np.float32)


def file_ways(path: Path) -> Ways:
    """Ways to write PNG, and what it would cost to read an original again before it is written."""
    data = path.read_bytes()
    image = read_image(data, name=path.name)
    png = encode_image(image, image.pixels)

    def pillow(level: int) -> bytes:
        out = io.BytesIO()
        Pillow.fromarray(image.pixels).save(out, "PNG", compress_level=level)
        return out.getvalue()

    size = {level: len(pillow(level)) / 1e6 for level in (6, 1)}
    return {
        f"PNG by Pillow, level 6 ({size[6]:.1f} MB)": lambda: pillow(6),
        f"PNG by Pillow, level 1 ({size[1]:.1f} MB)": lambda: pillow(1),
        f"PNG by medlocker ({len(png) / 1e6:.1f} MB)": lambda: encode_image(image, image.pixels),
        "reading the JPEG again (medlocker keeps it decoded)": lambda: read_image(data, name=path.name),
        "reading the PNG again (the same)": lambda: read_image(png, name="a.png"),
        "averaging over blocks, by numpy's sums": lambda: slow_block_mean(image.pixels, 8),
        "averaging over blocks: medlocker": lambda: block_mean(image.pixels, 8),
    }


def run(source: Path, owner: Path, model: Path, options: Sequence[str], *, out: Path) -> dict[str, Any]:
    """Protect a folder and return the command's JSON object."""
    words = [*COMMAND, "protect", str(source), "--model", str(model), "--owner", str(owner), "--seed", "1"]
    words += ["--out", str(out), "--lesions", "none", "--no-ledger", "--json", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def whole_runs(data: Path, folder: Path) -> None:
    """Print where the time of whole runs goes, small pictures and large ones."""
    new_owner(folder / "owner")
    small = folder / "small"
    small.mkdir()
    for path in sorted((data / "idrid" / "images").iterdir())[:40]:
        Pillow.open(path).resize((224, 224)).save(small / f"{path.stem}.png")
    rows: list[list[str]] = []
    for where, source in (("224 x 224, PNG", small), ("4288 x 2848, JPEG", data / "idrid" / "full")):
        for model, options, name in (
            (SURROGATES / NAMES[0], (), "strong"),
            (SURROGATES / NAMES[0], ("--workers", "2"), "strong, 2 workers"),
            (SURROGATES / NAMES[0] / "model.onnx", ("--preset", "paper"), "paper"),
            (
                SURROGATES / NAMES[0] / "model.onnx",
                ("--preset", "paper", "--workers", "2"),
                "paper, 2 workers",
            ),
        ):
            found = run(source, folder / "owner", model, options, out=folder / f"out{len(rows)}")
            seconds = found["seconds"]
            driving = sum(seconds[key] for key in ("model", "compose", "search", "waiting_for_files"))
            rows.append(
                [where, name, str(found["marked"]), f"{found['images_per_second']:.2f}"]
                + [
                    f"{seconds[key] / driving:.1%}"
                    for key in ("model", "compose", "search", "waiting_for_files")
                ]
                + [
                    f"{1e3 * seconds[key] / found['marked']:.0f}"
                    for key in ("read_threads", "write_threads", "seal_threads")
                ]
            )
    head = (
        "images",
        "preset",
        "n",
        "images/s",
        "in the classifier",
        "composing",
        "search",
        "waiting for files",
    )
    print(f"\nwhole runs\n\n{table((*head, 'reading, ms', 'writing, ms', 'sealing, ms'), rows)}", flush=True)


def main() -> None:
    data = data_folder()
    for name in NAMES:
        tell(f"gradients of {PICTURES} pictures, {name}", gradient_ways(name))
        print(f"\nbfloat16 keeps {signs_kept(name):.0%} of the gradient's signs")
        tell(f"answers for {PICTURES} pictures, {name}", answer_ways(name))
    tell("textures of 20 candidates", texture_ways())
    tell("files of 12 megapixels", file_ways(sorted((data / "idrid" / "full").iterdir())[0]))
    with tempfile.TemporaryDirectory() as name:
        whole_runs(data, Path(name))


if __name__ == "__main__":
    main()
