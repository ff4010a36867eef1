from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from medlocker.classifiers import BaseClassifier, Card, Classifier, InputSpec
from medlocker.errors import Code, Failure, InputError, ModelError, OutputExistsError, WriteError
from medlocker.evaluate import (
    CLEAN,
    PANEL,
    PROTECTED,
    RANDOM,
    Control,
    Evaluation,
    Original,
    Release,
    ReportNotes,
    Scene,
    Target,
    evaluate,
    open_targets,
    pair_up,
    summarise,
    to_json,
    write_report,
)
from medlocker.evaluate.report._csv import per_image_csv
from medlocker.formats import encode_image, read_image
from medlocker.labels import Labels
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.safecsv import csv_cell
from onnx_models import make_onnx, weights_for
from runs import fill, tiny_model

LOGO = builtin_logo()


class Told(BaseClassifier):
    """Answers by the mean brightness of the canvas: class 0 below the first bound, and so on."""

    def __init__(self, bounds: Sequence[float], *, name: str = "told", poison: float | None = None) -> None:
        count = len(bounds) + 1
        super().__init__(
            Card(InputSpec(height=8, width=8, layout="NHWC")),
            name=name,
            fingerprint=f"{len(bounds):064x}",
            classes=tuple(str(k) for k in range(count)),
        )
        self._bounds = np.array(bounds)
        self._poison = poison
        self.largest = 0

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.largest = max(self.largest, len(batch))
        means = batch.mean(axis=(1, 2, 3)) * 255
        if self._poison is not None and (np.abs(means - self._poison) < 1).any():
            raise ModelError("told: it fails")
        answers = np.digitize(means, self._bounds)
        return np.asarray(np.eye(len(self.classes), dtype=np.float32)[answers])


def plain(folder: Path, levels: dict[str, int], *, size: int = 40) -> Path:
    """Images of one grey level."""
    for name, level in levels.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.new("RGB", (size, size), (level, level, level)).save(folder / name)
    return folder


def labels_of(rows: dict[str, str]) -> Labels:
    return Labels("labels.csv", "grade", rows, "0" * 64)


def files_of(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}


def job(
    clean: Path,
    marked: Sequence[Path],
    models: Sequence[Classifier],
    labels: dict[str, str],
    *,
    surrogates: Sequence[tuple[tuple[str, str], ...]] | None = None,
    **options: Any,
) -> Evaluation:
    known = surrogates or [()] * len(marked)
    releases = [Release(p.name, files_of(p), s) for p, s in zip(marked, known, strict=True)]
    originals = [Original(name, path, name) for name, path in files_of(clean).items()]
    indices = {str(k): k for k in range(10)}
    targets = [Target(model, model.name, indices, frozenset({model.fingerprint})) for model in models]
    return Evaluation(
        pairs=pair_up(originals, releases),
        releases=releases,
        labels=labels_of(labels),
        targets=targets,
        control=Control(LOGO),
        **options,
    )


LEVELS = {"a.png": 10, "b.png": 100, "c.png": 200, "d.png": 210}
TRUTH = {"a.png": "0", "b.png": "1", "c.png": "2", "d.png": "0"}  # d is answered wrongly


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return plain(tmp_path / "clean", LEVELS)


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """Brighter by so much that a becomes 1, b stays 1, c becomes 2 and d 2."""
    return plain(tmp_path / "marked", {"a.png": 80, "b.png": 120, "c.png": 90, "d.png": 220})


def test_numbers_that_can_be_counted(clean: Path, marked: Path) -> None:
    numbers = summarise(evaluate(job(clean, [marked], [Told([50, 150])], TRUTH)))
    (target,) = numbers.targets
    before, after = target.numbers(CLEAN), target.numbers(PROTECTED)
    assert (before.n, before.accuracy, before.left.count, before.left.n) == (4, 0.75, 3, 3)
    # answers 1 1 1 2 for labels 0 1 2 0: only b is right, of a, b, c
    assert (after.n, after.accuracy, after.left.count, after.left.n) == (4, 0.25, 1, 3)
    assert after.balanced_accuracy == pytest.approx((0 + 1 + 0) / 3)
    assert after.fooled == pytest.approx(2 / 3)
    observed = 1 + 0 + 1 + 4
    chance = sum((i - j) ** 2 * r * c for i, r in enumerate([2, 1, 1]) for j, c in enumerate([0, 3, 1])) / 4
    assert after.qwk == pytest.approx(1 - observed / chance)
    # class 0 is always as unlikely; 1 is said of b and two others, 2 of d alone: halves, 2 of 3 and 1 of 3
    assert after.auc == pytest.approx((1 / 2 + 2 / 3 + 1 / 3) / 3)
    assert (target.weighting, after.kappa) == ("quadratic", after.qwk)
    assert after.kappa_interval is not None
    assert after.kappa_interval[0] <= after.kappa_interval[1]
    assert after.information is None  # of four images nothing can be learned
    classes = {one.name: (one.n, one.clean_correct, one.left[PROTECTED].count) for one in target.per_class}
    assert classes == {"0": (2, 1, 0), "1": (1, 1, 1), "2": (1, 1, 0)}
    assert numbers.still_right == {0: 0, 1: 1, 2: 0, 3: 0}


def test_two_classes_have_an_auc_and_no_kappa(clean: Path, marked: Path) -> None:
    labels = {"a.png": "0", "b.png": "1", "c.png": "1", "d.png": "0"}
    (target,) = summarise(evaluate(job(clean, [marked], [Told([95])], labels))).targets
    # scores 0 1 1 1 for labels 0 1 1 0: of four pairs two are right and two tie
    assert target.numbers(CLEAN).auc == 0.75
    assert target.numbers(CLEAN).qwk is None
    # plain: 3 of 4 are right, 2 of 4 by chance
    assert (target.weighting, target.numbers(CLEAN).kappa) == ("plain", 0.5)


def test_one_class_has_neither(clean: Path, marked: Path) -> None:
    labels = dict.fromkeys(LEVELS, "1")
    for bounds in ([50.0], [50.0, 150.0]):
        (target,) = summarise(evaluate(job(clean, [marked], [Told(bounds)], labels))).targets
        one = target.numbers(CLEAN)
        assert target.is_one_class
        assert (one.qwk, one.auc, one.kappa, one.kappa_interval, one.information) == (None,) * 5
        assert one.accuracy is not None


def test_a_model_that_is_never_right_has_nothing_left_to_lose(clean: Path, marked: Path) -> None:
    labels = {"a.png": "2", "b.png": "2", "c.png": "0", "d.png": "0"}
    result = evaluate(job(clean, [marked], [Told([50, 150])], labels))
    (target,) = summarise(result).targets
    assert target.numbers(PROTECTED).left.share is None
    value = to_json(summarise(result), (), extra=ReportNotes())
    assert value["targets"][0]["protected"]["interval"] is None
    json.dumps(value, allow_nan=False)


def test_white_box_is_told_by_the_weights(clean: Path, marked: Path) -> None:
    known, unknown = Told([50, 150], name="known"), Told([50], name="unknown")
    surrogates = [(("anything", known.fingerprint),)]
    labels = {"a.png": "0", "b.png": "1"}
    numbers = summarise(evaluate(job(clean, [marked], [known, unknown], labels, surrogates=surrogates)))
    assert [target.white_box for target in numbers.targets] == [(True,), (False,)]
    rows = to_json(numbers, (), extra=ReportNotes())["transfer"]["rows"]
    assert rows[0]["white_box"] == [True, False]
    assert rows[0]["surrogates"] == ["anything"]
    assert [row["condition"] for row in rows[1:]] == [RANDOM, PANEL]
    assert [len(row[name]) for row in rows for name in ("left", "kappa", "information_left")] == [2] * 9


def test_several_releases_each_count_what_they_have(clean: Path, marked: Path, tmp_path: Path) -> None:
    other = plain(tmp_path / "other", {"b.png": 20, "c.png": 190})
    result = evaluate(job(clean, [marked, other], [Told([50, 150])], TRUTH))
    (target,) = summarise(result).targets
    assert target.numbers("marked").left.n == 3
    assert (target.numbers("other").n, target.numbers("other").left.count) == (2, 1)
    value = to_json(summarise(result), (), extra=ReportNotes())["targets"][0]
    assert value["protected"] == value["conditions"]["protected"] == value["conditions"]["marked"]
    assert value["panel"] == value["conditions"]["panel"] == value["conditions"]["panel: marked"]
    assert value["conditions"]["panel: other"]["n"] == 2
    assert value["conditions"]["other"]["left"] == 0.5


def test_images_that_fail_do_not_stop_the_others(clean: Path, marked: Path) -> None:
    (marked / "a.png").write_bytes(b"no picture")
    plain(marked, {"b.png": 120}, size=41)
    (clean / "c.png").write_bytes(b"")
    said: list[tuple[str, Failure | None]] = []
    result = evaluate(
        job(clean, [marked], [Told([50, 150])], TRUTH),
        progress=lambda name, failure: said.append((name, failure)),
    )
    expected = (
        Failure(
            "a.png",
            "a.png (marked): expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got something else",
            Code.UNSUPPORTED_IMAGE,
        ),
        Failure(
            "b.png",
            "b.png: expected a marked image of 40 x 40 pixels as the original, got 41 x 41",
            Code.INPUT,
        ),
        Failure(
            "c.png",
            "c.png: expected a PNG, TIFF, BMP, JPEG, DICOM or NIfTI image, got an empty file",
            Code.UNSUPPORTED_IMAGE,
        ),
    )
    assert result.failed == expected
    assert said == [*((one.name, one) for one in expected), ("d.png", None)]
    assert [judged.pair.name for judged in result.images.values()] == ["d.png"]
    (target,) = summarise(result).targets
    assert target.numbers(CLEAN).n == 1


def test_another_depth_is_another_image(clean: Path, marked: Path) -> None:
    Pillow.fromarray(np.full((40, 40), 30_000, np.uint16)).save(marked / "a.png")
    result = evaluate(job(clean, [marked], [Told([50, 150])], TRUTH))
    assert result.failed == (
        Failure("a.png", "a.png: expected a marked image of 8 bits as the original, got 16", Code.INPUT),
    )


def test_nothing_left_to_judge(clean: Path, marked: Path) -> None:
    for path in marked.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(
        InputError, match=r"^no image could be judged; the first: a\.png \(marked\): expected"
    ):
        evaluate(job(clean, [marked], [Told([50, 150])], TRUTH))


def test_a_picture_on_which_a_model_fails_costs_only_its_own_answer(clean: Path, marked: Path) -> None:
    result = evaluate(job(clean, [marked], [Told([50, 150], poison=120)], TRUTH))
    assert result.failed == (Failure("b.png", "told: it fails", Code.MODEL),)
    (target,) = summarise(result).targets
    assert (target.numbers(CLEAN).n, target.numbers(PROTECTED).n) == (4, 3)
    assert target.numbers(PROTECTED).left.n == 2


def test_images_without_a_label_are_left_out(clean: Path, marked: Path) -> None:
    result = evaluate(job(clean, [marked], [Told([50, 150])], {"a.png": "0", "c.png": "2"}))
    assert result.unlabelled == ("b.png", "d.png")
    assert len(result.images) == 2
    with pytest.raises(
        InputError, match=r"^labels labels.csv: expected labels of the images, got none of them$"
    ):
        evaluate(job(clean, [marked], [Told([50, 150])], {"x.png": "0"}))


def test_limit(clean: Path, marked: Path) -> None:
    result = evaluate(job(clean, [marked], [Told([50, 150])], TRUTH, limit=2))
    assert [judged.pair.name for judged in result.images.values()] == ["a.png", "b.png"]


def test_few_images_are_in_memory_and_batches_are_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = {f"{k:03d}.png": k for k in range(60)}
    clean, marked = plain(tmp_path / "c", levels, size=8), plain(tmp_path / "m", levels, size=8)
    lock, ahead, most = threading.Lock(), 0, 0
    original = read_image

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal ahead, most
        with lock:
            ahead += 1
            most = max(most, ahead)
        return original(*arguments, **options)

    def done(name: str, failure: Failure | None) -> None:
        nonlocal ahead
        with lock:
            ahead -= 2

    monkeypatch.setattr(sys.modules["medlocker.evaluate._processing"], "read_image", counted)
    model = Told([50, 150])
    evaluate(job(clean, [marked], [model], dict.fromkeys(levels, "0"), batch=7), progress=done)
    assert most <= 2 * 4  # two files of each image; two threads, one image ready, one in hand
    assert model.largest == 7


def test_further_conditions_are_judged_like_the_others(clean: Path, marked: Path) -> None:
    def darker(scene: Scene) -> Iterator[tuple[str, NDArray[Any]]]:
        yield "darker", scene.marked[PROTECTED].pixels // 4

    result = evaluate(job(clean, [marked], [Told([50, 150])], TRUTH, views=[darker]))
    (target,) = summarise(result).targets
    assert target.numbers("darker").left.count == 1  # all are 0 now
    assert "darker" in to_json(summarise(result), (), extra=ReportNotes())["targets"][0]["conditions"]


def test_the_control_is_as_large_as_the_marks(tmp_path: Path) -> None:
    clean = fill(tmp_path / "clean", 3, size=96)
    marked = tmp_path / "marked"
    marked.mkdir()
    for path in clean.iterdir():
        image = read_image(path.read_bytes(), name=path.name)
        marks = [Mark(x=2, y=3, size_px=30, opacity=50_000), Mark(x=60, y=55, size_px=30, opacity=50_000)]
        (marked / path.name).write_bytes(encode_image(image, mark_pixels(image, marks, logo=LOGO).pixels))
    seen: list[float] = []

    def spy(scene: Scene) -> Iterator[tuple[str, NDArray[Any]]]:
        windows = scene.windows[PROTECTED]
        seen.append(float(len(windows)))
        sizes = Control(LOGO).sizes_px(scene.clean, windows)
        assert sizes == (30, 30)
        yield from ()

    evaluate(
        job(clean, [marked], [Told([50, 150])], {"00.png": "0", "01.png": "1", "02.png": "0"}, views=[spy])
    )
    assert seen == [2, 2, 2]


def test_targets_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    tiny_model(tmp_path)
    make_onnx(tmp_path / "two.onnx", weights=weights_for(classes=2))
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    labels = labels_of({"a.png": "0", "b.png": "2"})
    names = ["tiny.onnx", "gone.onnx", "two.onnx", "broken.onnx"]
    targets, failed = open_targets([tmp_path / name for name in names], labels)
    assert [target.name for target in targets] == ["tiny"]
    assert failed == (
        Failure("gone.onnx", "model gone.onnx: no such file", Code.MODEL),
        Failure(
            "two.onnx",
            "model two.onnx: labels labels.csv: expected a class from 0 to 1, got '2'",
            Code.INPUT,
        ),
        Failure("broken.onnx", "model broken.onnx: ONNX Runtime cannot open it", Code.MODEL),
    )
    with pytest.raises(
        ModelError, match=r"^no target can be used; the first: model gone.onnx: no such file$"
    ):
        open_targets([tmp_path / "gone.onnx", tmp_path / "two.onnx"], labels)


def test_targets_are_named_after_their_folder_and_known_by_every_form_of_their_weights(
    tmp_path: Path,
) -> None:
    paths = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made = tiny_model(tmp_path / name)
        made.rename(tmp_path / name / "model.onnx")
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
        paths.append(tmp_path / name / "model.onnx")
    labels = labels_of({"a.png": "0", "b.png": "2"})
    targets, _ = open_targets([*paths, paths[0].parent], labels)
    assert [target.name for target in targets] == ["first", "second", "first (2)"]
    # printf first | sha256sum
    digest = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
    assert [target.is_one_of([("x", digest)]) for target in targets] == [True, False, True]


# the report


HOSTILE = {
    "=cmd()|'x'.png": "0",
    "<img src=x onerror=alert(1)>.png": "1",
    "a&\"b'.png": "2",
    "line\nbreak.png": "0",
    "https:x.png": "1",
    "right\u202etol.png": "1",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Evaluation:
    clean = plain(tmp_path / "clean", dict.fromkeys(HOSTILE, 100))
    marked = plain(tmp_path / "<script>alert(2)", dict.fromkeys(HOSTILE, 110))
    model = Told([50, 150], name="<b>model")
    surrogates = [(("<i>surrogate", "0" * 64),)]
    return job(clean, [marked], [model], HOSTILE, surrogates=surrogates)


def digest(page: str, tag: str) -> str:
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def test_the_page_loads_nothing_and_runs_no_name(hostile: Evaluation, tmp_path: Path) -> None:
    extra = ReportNotes(
        skipped=(Failure("<u>gone", "<u>why", Code.INPUT),),
        failed_targets=(Failure("<u>t", "<u>t: no", Code.MODEL),),
        notes=("<u>note",),
    )
    write_report(evaluate(hostile), tmp_path / "report", extra=extra)
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert not re.search(r"https?://|//\w", page.replace("data:image/jpeg;base64,", ""))
    addresses = set(re.findall(r'\b(?:src|href)="([^",]*)', page))
    assert {one for one in addresses if not one.startswith("#")} == {"data:image/jpeg;base64"}
    tags = set(re.findall(r"<(\w+)", page))
    assert not tags & {"u", "link", "iframe", "object"}
    assert page.count("<script>") == 1
    assert "right\\u202etol.png" in page
    assert not {c for c in page if not c.isprintable()} - {"\n"}
    policy = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    allowed = [
        f"{kind}-src 'sha256-{digest(page, tag)}'" for kind, tag in (("style", "style"), ("script", "script"))
    ]
    assert policy == [
        "; ".join(["default-src 'none'", "base-uri 'none'", "form-action 'none'", *allowed, "img-src data:"])
    ]
    bare = re.sub(r'"[^"]*"', '""', page)  # without what attributes hold: a name in one stays in it
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", bare)
    assert "&lt;script&gt;alert(2)" in page
    for raw in ("<img src=x", "<b>model", "<i>surrogate", "<u>", "line\nbreak"):
        assert raw not in page
    for escaped in ("&lt;img src=x onerror=alert(1)&gt;.png", "&lt;b&gt;model", "line\\nbreak.png"):
        assert escaped in page


def test_cells_are_no_formulas(hostile: Evaluation) -> None:
    data = per_image_csv(summarise(evaluate(hostile)))
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
    names = {row["name"] for row in rows}
    assert "'=cmd()|'x'.png" in names
    escaped = {name.replace("\n", r"\n").replace("\u202e", r"\u202e") for name in HOSTILE}
    assert names - {"'=cmd()|'x'.png"} == escaped - {"=cmd()|'x'.png"}
    assert {row["target"] for row in rows} == {"<b>model"}


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+1",
        "-1",
        "@sum(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "＝1",
        "＋1",
        "－1",
        "＠sum",
        "\u200b=1",
        "\ufeff@x",
    ],
)
def test_no_cell_runs_in_a_spreadsheet(name: str) -> None:
    assert csv_cell(name) == "'" + name.translate({9: r"\t", 10: r"\n", 13: r"\r"})


@pytest.mark.parametrize("value", ["a=1.png", "1-2.png", "", " a", "−1", -1.5, -3])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) == str(value)


def test_the_report_is_written_whole_or_not_at_all(
    clean: Path, marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluate(job(clean, [marked], [Told([50, 150])], TRUTH))
    out = tmp_path / "out" / "report"
    value = write_report(result, out, extra=ReportNotes())
    files = sorted(path.name for path in out.iterdir())
    assert files == ["per_image.csv", "report.html", "report.json", "summary.csv"]
    assert json.loads((out / "report.json").read_text()) == value
    assert len((out / "summary.csv").read_text().splitlines()) == 1 + 4
    with pytest.raises(OutputExistsError, match=r"^report exists already$"):
        write_report(result, out, extra=ReportNotes())
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["medlocker.evaluate.report._write"], "write_atomic", full)
        with pytest.raises(WriteError, match=r"^cannot write report: no space left on device$"):
            write_report(result, out, extra=ReportNotes(), overwrite=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    write_report(result, out, extra=ReportNotes(), overwrite=True)
    assert [path.name for path in out.parent.iterdir()] == ["report"]
    (out / "mine.txt").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"^report exists and is not a folder made by `evaluate`"):
        write_report(result, out, extra=ReportNotes(), overwrite=True)
