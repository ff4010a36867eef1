from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import lines_run
from medlocker.errors import InputError
from medlocker.labels import Labels, class_indices, load_labels, order_classes


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_first_and_second_column(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,grade,other\na.jpg,3,x\nb.jpg, 1 ,y\n"))
    assert dict(labels.rows) == {"a.jpg": "3", "b.jpg": "1"}
    assert (labels.column, labels.distinct, len(labels)) == ("grade", ("1", "3"), 2)


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("image,melanoma", "melanoma"),  # two columns: the second, whatever it is called
        ("image,age", "age"),
        ("image,age,label", "label"),
        ("image,Class,age,sex", "Class"),
        ("image,age,DIAGNOSIS,sex", "DIAGNOSIS"),
        ("image;age; grade ;sex", "grade"),
        ("image,grade,macular_edema_risk", "grade"),
        ("image,grade,label", "grade"),  # the second, as ever
        ("image,label,class,grade", "label"),
        ("image,label,label", "label"),
        ("image,melanoma,", "melanoma"),
        ("image,,melanoma,,", "melanoma"),
    ],
)
def test_finds_the_column_by_its_name(tmp_path: Path, header: str, column: str) -> None:
    delimiter = ";" if ";" in header else ","
    names = [name.strip() for name in header.split(delimiter)]
    row = delimiter.join(["a.jpg", *(f"value{k}" for k in range(1, len(names)))])
    labels = load_labels(write(tmp_path, f"{header}\n{row}\n"))
    assert labels.column == column
    assert dict(labels.rows) == {"a.jpg": f"value{names.index(column)}"}


@pytest.mark.parametrize(
    ("header", "got"),
    [
        ("image,age,sex", "age, sex"),
        ("image,age,sex,", "age, sex"),
        ("image,patient,melanoma,keratosis", "patient, melanoma, keratosis"),
        ("image,age,label,grade", "label, grade"),
        ("image,labels,classes", "labels, classes"),
        ("image,,,", ""),
    ],
)
def test_refuses_to_guess_among_several_columns(tmp_path: Path, header: str, got: str) -> None:
    path = write(tmp_path, f"{header}\n{',' * header.count(',')}\n")
    with pytest.raises(InputError) as caught:
        load_labels(path)
    assert str(caught.value) == (
        "labels labels.csv: expected one column called label, class, diagnosis, grade or dx, "
        f"got {got or 'none'}"
    )
    assert caught.value.hint == "choose the label's column with --label-column NAME"


@pytest.mark.parametrize("column", ["other", "OTHER"])
def test_reads_a_named_column(tmp_path: Path, column: str) -> None:
    labels = load_labels(write(tmp_path, "image,grade,other\na.jpg,3,x\n"), column=column)
    assert (labels.column, labels.for_name("a.jpg")) == ("other", "x")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfimage,ill\nd/a.jpg,yes\n",
        b"image;ill\r\nd/a.jpg;yes\r\n",
        b"image\till\nd/a.jpg\tyes\n\n",
        b'image,ill\n"d\\a.jpg","yes"\nd/a.jpg,yes\n',
        b"image,ill\n./d/a.jpg,yes\nb.jpg,\n",
    ],
    ids=["bom", "semicolon", "tab", "quoted and repeated", "empty label"],
)
def test_tolerates_dialects(tmp_path: Path, text: bytes) -> None:
    assert dict(load_labels(write(tmp_path, text)).rows) == {"d/a.jpg": "yes"}


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nimage;label\na.png;mild\n",
        "sep=\t\r\nimage\tlabel\r\na.png\tmild\r\n",
        "sep=;\na,b;label\na.png;mild\n",
        "Grades of 2024,\n\nimage,label\na.png,mild\n",
        "image,label\na.png,mild\n".encode("utf-16"),
        "a.png,mild\n",
        ",image,label\n0,a.png,mild\n",
        "lesion_id,image_id,dx\nL7,a,mild\n",
        "image,mild,severe\na,1.0,0.0\n",
        "image,label\na.png,mild\nb.png,nan\nc.png,NA\n",
        "image,label\nA.PNG,mild\n",
    ],
    ids=[
        "sep",
        "sep tab",
        "sep against commas",
        "title",
        "utf-16",
        "no header",
        "index",
        "HAM10000",
        "one-hot",
        "gaps",
        "capitals",
    ],
)
def test_takes_tables_as_programs_write_them(tmp_path: Path, text: str | bytes) -> None:
    labels = load_labels(write(tmp_path, text))
    assert (labels.for_name("a.png"), len(labels)) == ("mild", 1)


def test_one_hot_tables(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,none,mild,severe\na,1.0,0.0,0.0\nb,0,1,0\nc,0,0,1\n"))
    assert dict(labels.rows) == {"a": "none", "b": "mild", "c": "severe"}
    assert labels.notes == ("labels labels.csv: a column for each class, none, mild, severe",)
    assert class_indices(labels, ("none", "mild", "severe")).notes == labels.notes


def test_columns_of_classes_are_outputs_in_their_order(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,MEL,NV,BCC\na,1,0,0\nb,0,1,0\n"))
    assert dict(class_indices(labels, ("0", "1", "2")).indices) == {"MEL": 0, "NV": 1, "BCC": 2}
    assert dict(class_indices(labels, ("nv", "bcc", "mel")).indices) == {"MEL": 2, "NV": 0, "BCC": 1}
    with pytest.raises(InputError, match=r"expected a column for each of 4 classes, got 3$"):
        class_indices(labels, ("0", "1", "2", "3"))


@pytest.mark.parametrize("row", ["b,0,0", "b,1,1", "b,0.5,0.5", "b,2,1"])
def test_a_table_that_is_not_one_hot_in_every_row_is_refused(tmp_path: Path, row: str) -> None:
    with pytest.raises(InputError, match="expected one column called"):
        load_labels(write(tmp_path, f"image,mild,severe\na,1,0\n{row}\n"))


def test_a_column_of_a_class_says_yes_or_no(tmp_path: Path) -> None:
    path = write(tmp_path, "image,melanoma,keratosis\na,1.0,0.0\nb,0.0,0.0\n")
    labels = load_labels(path, column="melanoma")
    found = class_indices(labels, ("Melanoma", "nevus"))
    assert (labels.for_name("a"), dict(found.indices)) == ("1.0", {"1.0": 0, "0.0": 1})
    assert found.notes == ("labels labels.csv: 1 in column melanoma is taken as Melanoma",)
    with pytest.raises(InputError, match="says only whether an image is of that class, expected which of 3"):
        class_indices(labels, ("nevus", "melanoma", "keratosis"))


def test_unsure_labels_are_none(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,label\na,0.0\nb,-1.0\nc,1.0\n"))
    assert dict(labels.rows) == {"a": "0.0", "c": "1.0"}
    assert labels.notes == ("labels labels.csv: rows with -1.0 are taken as not labelled",)
    assert len(load_labels(write(tmp_path, "image,label\na,-1\nb,x\n"))) == 2


def test_an_images_column_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "patient,photo,label\np1,a,1\np1,b,2\n")
    assert dict(load_labels(path, image_column="Photo").rows) == {"a": "1", "b": "2"}
    with pytest.raises(InputError, match="expected p1 to be '1' as in line 2, got '2'"):
        load_labels(path)


def test_paths_from_another_folder(tmp_path: Path) -> None:
    text = "Path,label\nset/train/p1/view1.png,none\nset/train/p2/view1.png,severe\n"
    labels = load_labels(write(tmp_path, text))
    assert [labels.for_name(f"p{k}/view1.png") for k in (1, 2)] == ["none", "severe"]
    with pytest.raises(InputError, match=r"several rows may mean p3/view1\.png"):
        labels.for_name("p3/view1.png")


def test_a_stranger_is_named_with_its_line(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,label\na,mild\nb,mild\nc,sever\n"))
    with pytest.raises(
        InputError, match=r"^labels labels\.csv, line 4: expected a class of the model, got 'sever'$"
    ):
        class_indices(labels, ("mild", "severe"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("d/a.jpg", "exact"),
        ("e/a.jpg", None),
        ("e/b.jpg", "file"),
        ("b.png", "file"),
        ("x/y/c.tif", "stem"),
        ("1.2.840.7", "uid"),
        ("1.2.840.7.dcm", "uid"),
        ("1.2.840.8.dcm", None),
        ("nothing.jpg", None),
    ],
)
def test_finds_by_path_then_file_then_stem(tmp_path: Path, name: str, label: str | None) -> None:
    text = "image,label\nd/a.jpg,exact\nf/a.jpg,other\nd/b.jpg,file\nc,stem\n1.2.840.7,uid\n"
    labels = load_labels(write(tmp_path, text))
    if name == "e/a.jpg":
        with pytest.raises(InputError, match=r"^labels labels\.csv: several rows may mean e/a\.jpg and they"):
            labels.for_name(name)
    else:
        assert labels.for_name(name) == label


def test_rows_that_agree_are_not_ambiguous(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,label\nd/a.jpg,1\nf/a.jpg,1\n"))
    assert labels.for_name("e/a.png") == "1"


def test_missing_and_unknown(tmp_path: Path) -> None:
    labels = load_labels(write(tmp_path, "image,label\na,1\nb,1\nc,2\n"))
    names = ["b.png", "x.png", "a.jpg"]
    assert labels.missing(names) == ("x.png",)
    assert labels.unknown(names) == ("c",)


def test_digest_tells_columns_and_rows_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "image,p,q\na,1,1\n")
    first = load_labels(path, column="p").digest
    assert first == load_labels(path, column="P").digest
    assert first == load_labels(write(tmp_path, "image,p\na,1\n")).digest
    path = write(tmp_path, "image,p,q\na,1,1\n")
    assert first != load_labels(path, column="q").digest
    assert first != load_labels(write(tmp_path, "image,p,q\na,2,1\n"), column="p").digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels labels.csv: expected a header with at least two columns, got 0"),
        ("image\na.jpg\n", "labels labels.csv: expected a header with at least two columns, got 1"),
        ("a.jpg,1,2\nb.jpg,2,2\n", "labels labels.csv, line 1: expected a header, got an image's name"),
        (b"PK\x03\x04...", "labels labels.csv: expected CSV, got a spreadsheet"),
        ("image,label\n", "labels labels.csv: expected at least one labelled image"),
        ("image,label\na.jpg\n", "labels labels.csv, line 2: expected 2 columns, got 1"),
        ("image,label\n,1\n", "labels labels.csv, line 2: expected an image's name, got an empty cell"),
        (
            "image,label\na.jpg,1\n\na.jpg,2\n",
            "labels labels.csv, line 4: expected a.jpg to be '1' as in line 2, got '2'",
        ),
        (b"image,label\n\xff,1\n", "labels labels.csv: expected UTF-8 text"),
        (b"image,label\n\0,1\n", "labels labels.csv: expected text, got a binary file"),
        (f"image,label\na,{'x' * 70000}\n", "labels labels.csv, line 2: expected at most 65536 characters"),
    ],
)
def test_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_labels(write(tmp_path, text))
    assert str(caught.value) == message


@pytest.mark.parametrize("column", ["image", "none"])
def test_refuses_a_column_that_is_no_label(tmp_path: Path, column: str) -> None:
    with pytest.raises(
        InputError, match=f"^labels labels.csv: expected a column '{column}', got grade, other$"
    ):
        load_labels(write(tmp_path, "image,grade,other\na.jpg,3,x\n"), column=column)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^labels no\.csv: no such file"):
        load_labels(tmp_path / "no.csv")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}/[a-z0-9]{1,6}\.png", fullmatch=True), st.integers(0, 4)))
def test_every_exact_path_finds_its_own_label(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, int]
) -> None:
    if not rows:
        return
    text = "image,label\n" + "".join(f"{name},{label}\n" for name, label in rows.items())
    labels = load_labels(write(tmp_path_factory.mktemp("l"), text))
    assert {name: labels.for_name(name) for name in rows} == {n: str(k) for n, k in rows.items()}
    assert labels.missing(rows) == labels.unknown(rows) == ()


def test_orders_numbers_by_value_and_names_by_letter() -> None:
    assert order_classes({"10", "9", "1"}) == ("1", "9", "10")
    assert order_classes({"10", "b", "9"}) == ("10", "9", "b")


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ({"b", "a"}, ("b", "a"), {"a": 1, "b": 0}),
        ({"1", "0"}, ("1", "0"), {"1": 0, "0": 1}),
        ({"No", "YES"}, ("no", "yes"), {"No": 0, "YES": 1}),
        ({"0", "4"}, ("0", "1", "2", "3", "4"), {"0": 0, "4": 4}),
        ({"2.0", "0.0"}, ("0", "1", "2"), {"0.0": 0, "2.0": 2}),
    ],
)
def test_maps_labels_to_classes(labels: set[str], classes: tuple[str, ...], expected: dict[str, int]) -> None:
    found = class_indices(labels, classes)
    assert (dict(found.indices), found.notes) == (expected, ())


def test_says_that_numbers_are_positions() -> None:
    found = class_indices({"0", "1"}, ("benign", "malignant"))
    assert dict(found.indices) == {"0": 0, "1": 1}
    assert found.notes == ("labels: the numbers are taken as positions among 0 = benign, 1 = malignant",)


def test_assumes_alphabetical_order_only_where_nothing_is_named() -> None:
    found = class_indices({"nevus", "melanoma"}, ("0", "1"))
    assert dict(found.indices) == {"melanoma": 0, "nevus": 1}
    assert found.notes == (
        "labels: the model has no class names; its outputs are assumed to be 0 = melanoma, 1 = nevus",
    )


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ({"1", "5"}, ("0", "1", "2", "3", "4"), "labels: expected a class from 0 to 4, got '5'"),
        ({"a", "b", "c"}, ("0", "1"), "labels: expected a class of the model, got 'a'"),
        ({"ill", "well"}, ("ill", "healthy"), "labels: expected a class of the model, got 'well'"),
        ({"ill", "1"}, ("healthy", "ill"), "labels: expected a class of the model, got '1'"),
        ({"-1", "0"}, ("p", "q"), "labels: expected a class of the model, got '-1'"),
    ],
)
def test_refuses_labels_that_fit_no_class(labels: set[str], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        class_indices(labels, classes)
    assert str(caught.value) == message
    assert caught.value.hint == f"the model's classes are {', '.join(classes)}"


def test_a_stranger_among_numbers_is_not_taken_for_the_name_of_an_output() -> None:
    with pytest.raises(InputError, match="expected a class of the model, got 'severe'"):
        class_indices({"0", "1", "2", "severe", "4"}, ("0", "1", "2", "3", "4"))
    assert class_indices({"a", "b"}, ("0", "1")).notes


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ("c,,0,1", "'' in column none"),
        ("c,0,nan,1", "'nan' in column mild"),
        ("c,0,0,0.5", "'0.5' in column severe"),
        ("c,0,0,0", "no 1"),
        ("c,1.0,0,1", "a 1 in the columns none, severe"),
    ],
)
def test_a_gap_among_columns_of_classes_is_named(tmp_path: Path, row: str, got: str) -> None:
    path = tmp_path / "onehot.csv"
    path.write_text(f"image,none,mild,severe\na,1,0,0\n\nb,0,1,0\n{row}\nd,0,0,1\n")
    with pytest.raises(InputError) as refused:
        load_labels(path)
    expected = f"line 5: expected a single 1 among zeros, as in most rows, got {got}"
    assert str(refused.value) == f"labels onehot.csv, {expected}"


def test_rows_whose_folders_agree_furthest_count_in_their_order() -> None:
    folders = ["", "a", "b", "a/b", "b/a", "x/a/b", "x/b/a", "y/a/b"]
    for seed in range(200):
        rng = random.Random(seed)
        rows = rng.sample(folders, rng.randint(2, len(folders)))
        labels = Labels("l.csv", "label", {f"{folder}/v.png".lstrip("/"): "1" for folder in rows}, "")
        name = f"{rng.choice([*folders, 'z/a/b', 'c'])}/v.png".lstrip("/")
        own = name.split("/")[-2::-1] or [""]
        agree = {}
        for row in labels.rows:
            theirs = row.split("/")[-2::-1] or [""]
            pairs = list(zip(own, theirs, strict=False))
            agree[row] = next((k for k, (one, other) in enumerate(pairs) if one != other), len(pairs))
        expected = [row for row in labels.rows if agree[row] == max(agree.values())]
        assert labels._rows_for(name) == ([name] if name in labels.rows else expected)


def test_a_table_from_another_folder_costs_no_square() -> None:
    def look_up(size: int) -> None:
        names = [f"p{k}/study1/view1.png" for k in range(size)]
        labels = Labels("l.csv", "label", {f"set/train/{name}": name for name in names}, "")
        assert labels.for_name(names[7]) == names[7]
        assert labels.missing(names) == labels.unknown(names) == ()

    assert lines_run(lambda: look_up(2_000)) < 5 * lines_run(lambda: look_up(500))  # all pairs: 16 times
