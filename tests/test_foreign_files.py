"""Images, archives and tables that people really have: the right numbers, or one line that says which file and why."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import tarfile
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources import readers
from kaxis.sources.archives import ARCHIVES, _Unpack, data_dir
from kaxis.sources.cache import cached
from kaxis.sources.images import load_images
from kaxis.sources.own import left_out
from kaxis.sources.readers import decode
from kaxis.spec.sweep import Sweep
from kaxis.stats.effects import paired
from kaxis.stats.tidy import cube_from_rows, read_csv

Cli = Callable[..., tuple[int, str, str]]
RAMP = np.linspace(0, 65535, 1600).reshape(40, 40).round()


def encoded(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def as_is(image: Any) -> Any:
    return image


# ---- pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (encoded(RAMP.astype(np.uint16), "PNG"), RAMP / 257),
        (encoded(RAMP.astype(np.uint16), "TIFF"), RAMP / 257),
        (encoded(RAMP.astype(np.uint16), "PPM"), RAMP / 257),
        (
            encoded((RAMP / 16).astype(np.uint16), "PNG"),
            (RAMP / 16).astype(np.uint16) / 257,
        ),  # 12 bits in 16: dark, not clipped
        (encoded((RAMP / 65535).astype(np.float32), "TIFF"), RAMP / 257),
        (encoded((RAMP / 257).astype(np.uint8), "PNG"), (RAMP / 257).astype(np.uint8)),
        (encoded(RAMP > 30000, "PNG"), 255 * (RAMP > 30000)),
    ],
    ids=["16-bit png", "16-bit tiff", "16-bit pgm", "12 bits", "float tiff", "8 bits", "1 bit"],
)
def test_pixels_keep_their_range(raw: bytes, expected: np.ndarray) -> None:
    made = decode(raw, "x", as_is)
    assert made.shape == (40, 40, 3)
    assert np.abs(made[..., 0] - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.full((4, 4), 1.5, np.float32), "float pixels from 1.5 to 1.5; 0 to 1 is read"),
        (np.full((4, 4), -0.1, np.float32), "float pixels from -0.1"),
        (np.full((4, 4), np.nan, np.float32), "float pixels from nan"),
        (np.full((4, 4), 10**6, np.int32), "have no known range"),
    ],
)
def test_pixels_without_a_known_range_are_refused_by_name(pixels: np.ndarray, says: str) -> None:
    with pytest.raises(KaxisError, match=rf"^cat/1\.tif: not a readable image \(.*{says}"):
        decode(encoded(pixels, "TIFF"), "cat/1.tif", as_is)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_images_stand_upright(orientation: int, kind: str) -> None:
    """Drawn with a corner of its own; expected by numpy's turns and flips."""
    x = np.zeros((16, 24, 3), np.uint8)
    x[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = [
        None,
        x,
        x[:, ::-1],
        x[::-1, ::-1],
        x[::-1],
        x.transpose(1, 0, 2),
        np.rot90(x, -1),
        x[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(x),
    ]
    expected = turned[orientation]
    assert expected is not None
    made = decode(encoded(x, kind, exif=exif), "x", as_is)
    assert made.shape == expected.shape
    assert (np.abs(made.astype(int) - expected) < 40).mean() > 0.95


def test_a_16_bit_photograph_stands_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(RAMP[:20].astype(np.uint16), "PNG", exif=exif), "x", as_is).shape == (40, 20, 3)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"\x89PNG\r\n",
        encoded(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8), "PNG")[:500],
    ],
)
def test_what_is_no_image_is_named_by_its_file(raw: bytes) -> None:
    with pytest.raises(KaxisError, match=r"^a/b\.png: not a readable image") as error:
        decode(raw, "a/b.png", as_is)
    assert "BytesIO" not in str(error.value)


# ---- folders --------------------------------------------------------------------------------------------


def folders(root: Path, splits: tuple[str, str] = ("train", "val"), classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(root / split / name / f"{i}.png")
    return root


@pytest.mark.parametrize(
    "hidden", ["._0.png", ".DS_Store", ".ipynb_checkpoints/0-checkpoint.png", "Thumbs.db", "desktop.ini"]
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_hidden_files_do_not_count(hidden: str, split: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    root = folders(tmp_path / "a")
    for place in (root / split, root / split / "cat"):
        (place / hidden).parent.mkdir(exist_ok=True)
        (place / hidden).write_bytes(b"\0\5\26\7")
    images = load_images(f"folder:{root}", tmp_path, 8)
    assert (len(images.pixels), images.n_train) == (8, 4)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("s2/1.png", "1 in train/ (in sub-folders of a class)"),
        ("s2/deep/1.jfif", "1 in train/ (in sub-folders of a class)"),
        ("1.avif", "1 in train/ (.avif is not read)"),
        ("1.HEIC", "1 in train/ (.heic is not read)"),
        ("1.dcm", "1 in train/ (.dcm is not read)"),
    ],
)
def test_images_left_out_are_counted_and_said(file: str, says: str, tmp_path: Path, cli: Cli) -> None:
    root = folders(tmp_path / "a")
    (root / "train/cat" / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "train/cat" / file).write_bytes(b"x")
    with pytest.warns(UserWarning, match="left out: 1 in train"):
        Sweep.of({"source": f"folder:{root}", "learners": "bp", "size": 8})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, out, _ = cli("data", "check", f"folder:{root}")
    assert code == 0
    assert f"left out: {says}" in out
    assert left_out(f"folder:{root}", tmp_path) == says


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".jpe", ".tiff", ".pgm"])
def test_suffixes_that_are_read(suffix: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    kind = {".jfif": "JPEG", ".JPG": "JPEG", ".jpe": "JPEG", ".tiff": "TIFF", ".pgm": "PPM"}[suffix]
    (root / "train/cat" / f"9{suffix}").write_bytes(encoded(np.full((8, 8), 200, np.uint8), kind))
    assert load_images(f"folder:{root}", tmp_path, 8).n_train == 5


@pytest.mark.parametrize("name", ["val", "test", "valid", "validation"])
def test_names_of_the_test_split(name: str, tmp_path: Path) -> None:
    assert len(load_images(f"folder:{folders(tmp_path / name, ('train', name))}", tmp_path, 8).pixels) == 8


def test_two_test_splits_are_said(tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    for name in ("cat", "dog"):
        (root / "test" / name).mkdir(parents=True)
        (root / "test" / name / "1.png").write_bytes(encoded(np.zeros((8, 8), np.uint8), "PNG"))
    assert left_out(f"folder:{root}", tmp_path) == "4 in val/ (test/ is there)"


@pytest.mark.parametrize(("train", "val"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_accents_written_in_two_ways_are_one_class(train: str, val: str, tmp_path: Path) -> None:
    for split, form in (("train", train), ("val", val)):
        folders(tmp_path / "a", (split,), ("chat", unicodedata.normalize(form, "bébé")))  # type: ignore[arg-type]
    images = load_images(f"folder:{tmp_path / 'a'}", tmp_path, 8)
    assert images.names["fine"] == (unicodedata.normalize("NFC", "bébé"), "chat")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: (r / "val/dog").rename(r / "val/wolf"), r"val/wolf: no such class in train/"),
        (lambda r: shutil.copytree(r / "train/dog", r / "train/wolf"), r"val lacks class 'wolf', which .*train has"),
        (
            lambda r: (r / "val").rename(r / "holdout"),
            r"needs folders train/CLASS/ and val/CLASS/ or test/CLASS/; it has holdout, train",
        ),
        (lambda r: [f.unlink() for f in (r / "val/cat").iterdir()], r"val/cat: a class with no images"),
        (lambda r: (r / "train/cat/0.png").write_bytes(b""), r"train/cat/0\.png: not a readable image \(empty\)"),
        (
            lambda r: ((r / "train/cat/0.png").unlink(), (r / "train/cat/0.png").symlink_to("none")),
            r"a file of its own|train",
        ),
        (
            lambda r: (r / "train" / unicodedata.normalize("NFD", "é")).mkdir() or (r / "train/é").mkdir(),
            "written in different ways",
        ),
        (lambda r: (r / "train/a\x1b[31m").mkdir(), "control characters"),
    ],
)  # fmt: skip
def test_which_file_or_folder_is_wrong_is_said(change: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    change(root)
    if says.startswith("a file of its own"):  # a dangling link: one image less, and said
        assert left_out(f"folder:{root}", tmp_path) == "1 in train/ (no regular files)"
        return
    with pytest.raises(KaxisError, match=says):
        load_images(f"folder:{root}", tmp_path, 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("place", ["train/cat/0.png", "train/cat", "val"])
def test_what_may_not_be_read_is_named(place: str, tmp_path: Path) -> None:
    root = folders(tmp_path / "a")
    (root / place).chmod(0)
    try:
        with pytest.raises(KaxisError, match=f"{place}: Permission denied"):
            load_images(f"folder:{root}", tmp_path, 8)
    finally:
        (root / place).chmod(0o755)


def test_one_folder_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folders(tmp_path / "here" / "pets")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    written = ["pets", "pets/", "./pets", "../here/pets", str(root), f"{root}/", "~/pets"]
    ids = {Sweep.of({"source": f"folder:{w}", "learners": "bp", "size": 8}).cells()[0].id for w in written}
    assert len(ids) == 1
    monkeypatch.setenv(
        "KAXIS_DATA", "~"
    )  # below the data folder it is called by its place there, however it is written
    names = {Sweep.of({"source": f"folder:{w}", "learners": "bp", "size": 8}).data.name for w in (str(root), "~/pets")}
    assert names == {"folder:pets"}
    assert data_dir() == tmp_path / "here"
    assert data_dir("~/d") == tmp_path / "here" / "d"


@pytest.mark.parametrize("half", ["first", "last"])
def test_a_decoded_cache_with_a_zeroed_half_is_made_again(half: str, tmp_path: Path) -> None:
    made = []

    def fill(out: np.ndarray) -> None:
        made.append(1)
        out[:] = 7

    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    (file,) = (tmp_path / "cache").rglob("*.npy")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    for i in range(128, middle) if half == "first" else range(middle, len(content)):
        content[i] = 0
    file.write_bytes(content)
    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    assert (cached("k", (50, 4, 4, 3), fill) == 7).all()
    assert len(made) == 2


# ---- npz, gzip, tar -------------------------------------------------------------------------------------


def arrays(**change: Any) -> dict[str, np.ndarray]:
    x = {"train_images": np.zeros((6, 8, 8), np.uint8), "test_images": np.zeros((4, 8, 8), np.uint8)}
    y = {"train_labels": np.array([0, 1, 2, 0, 1, 2]), "test_labels": np.array([0, 1, 2, 0])}
    return {**x, **y, **change}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_labels": np.array([0, 1, np.nan, 0, 1, 2])}, "train_labels has NaN"),
        (
            {"train_labels": np.array([1, 2, 3] * 2), "test_labels": np.array([1, 2, 3, 1])},
            "go from 1 to 3; they count from 0: subtract 1",
        ),
        ({"train_labels": np.zeros(5, int)}, "6 train_images and 5 train_labels"),
        ({"test_labels": np.zeros((4, 2), int)}, "whole numbers"),
        ({"train_images": np.zeros((6, 0, 8), np.uint8)}, "images without pixels"),
        ({"train_labels": np.array(["a"] * 6)}, "one class from 0"),
        ({"train_images": np.zeros((6, 8, 8), np.float32)}, "uint8"),
    ],
)  # fmt: skip
def test_npz_of_the_wrong_kind_is_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays(**change))
    with pytest.raises(KaxisError, match=says):
        readers.npz(tmp_path / "x.npz")


def npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "kind", ["twice", "encrypted", "huge", "cut off", "wrong header", "no header", "shape that is not there", "pickle"]
)
def test_npz_members_that_are_not_what_they_say(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.npz"
    says = {"twice": "is in it twice", "encrypted": "is encrypted", "huge": r"GiB when unpacked; this machine has"}.get(
        kind, "not a readable npz"
    )
    members = {f"{name}.npy": npy(x) for name, x in arrays().items()}
    if kind == "wrong header":
        members["train_images.npy"] = b"\x93NUMPY\x01\x00\x10\x00{'descr': oops}\n"
    if kind == "no header":
        members["train_images.npy"] = b"text"
        says = "train_images is no array"
    if kind == "shape that is not there":
        members["train_images.npy"] = members["train_images.npy"].replace(b"(6, 8, 8)", b"(6, 8,88)")
    if kind == "pickle":
        members["train_labels.npy"] = npy(np.array([{}] * 6, dtype=object))
    with zipfile.ZipFile(file, "w") as out:
        for name, content in members.items():
            out.writestr(name, content)
        if kind == "twice":
            out.writestr("train_labels.npy", members["train_labels.npy"])
    raw = bytearray(file.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    if kind == "encrypted":
        raw[entry + 8] |= 1
    if kind == "huge":
        raw[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
        monkeypatch.setattr(readers, "_memory", lambda: 2**31)
    file.write_bytes(raw[: len(raw) // 2] if kind == "cut off" else raw)
    with pytest.raises(KaxisError, match=says):
        readers.npz(file)


def test_a_gzip_bomb_is_read_no_further_than_it_may_be(tmp_path: Path) -> None:
    for name, body in (("a", b"\0" * 10**7), ("b", struct.pack(">4I", 0x803, 2, 28, 28) + b"\0" * 10**7)):
        (tmp_path / name).write_bytes(gzip.compress(body))
        with pytest.raises(KaxisError, match=rf"{name}: "):
            readers._idx(tmp_path / name, (2, 28, 28))


def tar(path: Path, *members: tuple[str, dict[str, Any], bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, fields, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            out.addfile(info, io.BytesIO(content))
    return path


CIFAR = ARCHIVES["cifar100"]
TRAIN, TEST = (f"{CIFAR.folder}/{f}" for f in CIFAR.files)


@pytest.mark.parametrize(
    "hostile",
    [
        (TRAIN, {"type": tarfile.SYMTYPE, "linkname": "../../outside"}, b""),
        (TRAIN, {"type": tarfile.LNKTYPE, "linkname": "../outside"}, b""),
        (TRAIN, {"type": tarfile.CHRTYPE}, b""),
        (TRAIN, {"type": tarfile.FIFOTYPE}, b""),
        (f"../{TRAIN}", {}, b"x"),
        (f"/tmp/{TRAIN}", {}, b"x"),
        (f"{CIFAR.folder}/../{TRAIN}", {}, b"x"),
    ],
)
def test_nothing_but_the_named_files_leaves_an_archive(
    hostile: tuple[str, dict[str, Any], bytes], tmp_path: Path
) -> None:
    """Even one whose checksum was forged: links, devices and paths that lead out are passed over, and what then lacks
    is said.
    """
    (tmp_path / "outside").write_text("mine")
    into = tmp_path / "data"
    into.mkdir()
    file = tar(into / "a.tar.gz", hostile, (TEST, {}, b"test"))
    with pytest.raises(KaxisError, match=rf"a\.tar\.gz: lacks {TRAIN}"):
        _Unpack(CIFAR)(str(file), "download", None)
    assert (tmp_path / "outside").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "outside"]
    assert all(p.is_file() and not p.is_symlink() for p in (into / CIFAR.folder).iterdir())


def test_an_archive_gives_its_files_whole(tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar.gz", (f"./{TRAIN}", {}, b"train"), ("else", {}, b"no"), (TEST, {}, b"test"))
    _Unpack(CIFAR)(str(file), "download", None)
    assert (tmp_path / TRAIN).read_bytes() == b"train"
    assert not (tmp_path / "else").exists()


@pytest.mark.parametrize("kind", ["cut off", "text", "bomb"])
def test_an_archive_that_is_none(kind: str, tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar.gz", (TRAIN, {}, os.urandom(5000)), (TEST, {}, b"test"))
    if kind == "cut off":
        file.write_bytes(file.read_bytes()[:2000])
    elif kind == "text":
        file.write_text("<html>")
    else:
        raw = bytearray(gzip.decompress(file.read_bytes()))
        head = tarfile.TarInfo(TRAIN)
        head.size = 2**33
        raw[:512] = head.tobuf(tarfile.GNU_FORMAT)
        file.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(KaxisError, match="declared to have" if kind == "bomb" else "not a readable archive"):
        _Unpack(CIFAR)(str(file), "download", None)


# ---- tables ---------------------------------------------------------------------------------------------


HEAD = "K,learner,seed,accuracy"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{HEAD},accuracy\n5,A,0,.5,.1\n", "the column 'accuracy' is there 2 times"),
        (f"source,{HEAD}, source\nx,5,A,0,.5,y\n", "the column 'source' is there 2 times"),
        (f"{HEAD},chance,chance\n5,A,0,.5,.1,.2\n", "the column 'chance' is there 2 times"),
        ("K;learner;seed;accuracy\n5;A;0;.5\n", "seem to be separated by semicolons"),
        ("K\tlearner\tseed\taccuracy\n5\tA\t0\t.5\n", "seem to be separated by tabs"),
        ("k,learner,seed,accuracy\n5,A,0,.5\n", "has no column 'K'.*rename 'k'"),
        (f"{HEAD}\n5,A,0\n", "line 2: 3 values for 4 columns"),
        (f"{HEAD}\n\n5,A,0,.5\n\n5,B,0,.5,7\n", "line 5: 5 values for 4 columns"),
        (f"{HEAD}\n5,A,0,crash?\n", "a failed run is written as an empty value or 'failed'"),
        (f'{HEAD}\n5,A,0,"0,5"\n', "with a point"),
        (f"{HEAD}\n5,,0,.5\n", "no learner is named"),
        (f"{HEAD}\n5,A,1.5,.5\n", "seed = 1.5: a whole number"),
        (f"{HEAD}\n5,A,1e300,.5\n", "seed = 1e300: a whole number that a float can hold"),
        (f"{HEAD}\n5,A,99999999999999999999,.5\n", "seed = 99999999999999999999"),
        (f"{HEAD}\n5,A,nan,.5\n", "seed = nan: a whole number"),
        (f"{HEAD}\n5,A,0,True\n", "accuracy = True"),
        (f"{HEAD}\n5,A\x1b[31m,0,.5\n", "control characters"),
        ("", "has no column 'K'"),
        (f"{HEAD}\n", "no rows"),
    ],
)
def test_tables_that_are_wrong_say_where(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(KaxisError, match=says):
        read_csv(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "text",
    [
        "K, learner , seed,accuracy\n5,A,0,.5\n\n,,,\n5,B,0,.6\n",
        "\ufeffK,learner,seed,accuracy,note,note\r\n5,A,0,.5,x,y\r\n5,B,0,.6,,\r\n",
        "\n\nK,learner,seed,accuracy,chance,source\n5,A,0.0,.5,nan,\n5,B,0,.6,NA,None\n",
        'K,learner,seed,accuracy\n"5","A",0,0.5\n5,B,0,.6\n5,A,1,failed\n5,B,1,.6\n',
    ],
)
def test_tables_as_people_write_them(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    effect = paired(read_csv(str(tmp_path / "t.csv")), learner="B", baseline="A")
    assert float(effect.effect.sel(source="t", K=5)) == pytest.approx(10)
    assert float(effect.effect_normalised.sel(source="t", K=5)) == pytest.approx(12.5)


def test_a_table_may_come_through_a_pipe_and_an_empty_one_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(KaxisError, match="has no column 'K'"):
        read_csv(tmp_path / "p")
    read, write = os.pipe()
    os.write(write, f"{HEAD}\n5,A,0,.5\n".encode())
    os.close(write)
    assert read_csv(f"/dev/fd/{read}").sizes["K"] == 1
    os.close(read)


@pytest.mark.parametrize("first", [2**53, 2**60, 9007199254740993, 2**63 - 3])
def test_large_seeds_are_paired_as_they_are(first: int, tmp_path: Path) -> None:
    lines = [f"5,A,{first},.5", f"5,B,{first + 1},.9", f"5,A,{first + 2},.5", f"5,B,{first + 2},.7"]
    (tmp_path / "t.csv").write_text("\n".join([HEAD, *lines]))
    cube = read_csv(tmp_path / "t.csv")
    assert cube.seed.values.tolist() == [first, first + 1, first + 2]
    out = paired(cube, learner="B", baseline="A")
    assert (int(out.n_seeds[0, 0]), float(out.effect[0, 0])) == (1, pytest.approx(20))


@pytest.mark.parametrize("nothing", [float("nan"), None, "", "NaN", "<NA>", np.float64("nan")])
def test_what_pandas_has_for_nothing_is_nothing(nothing: Any) -> None:
    rows = [
        {
            "K": 5,
            "learner": n,
            "seed": s,
            "accuracy": 0.5 + 0.1 * (n == "B") + s / 50,
            "chance": nothing,
            "source": nothing,
        }
        for n in "AB"
        for s in (0, 1)
    ]
    cube = cube_from_rows(rows)
    assert cube.source.values.tolist() == ["table"]
    assert (cube.chance == 0.2).all()


def test_a_data_frame_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"K": [5, 5], "learner": ["A", "B"], "seed": [0, 0], "accuracy": [0.5, None]})
    cube = cube_from_rows(frame)
    assert cube.status.squeeze().values.tolist() == ["done", "failed"]
    with pytest.raises(KaxisError, match="the column 'accuracy' is there 2 times"):
        cube_from_rows(pandas.concat([frame, frame[["accuracy"]]], axis=1))
    with pytest.raises(KaxisError, match="not a mapping"):
        cube_from_rows(["K"])  # type: ignore[list-item]
