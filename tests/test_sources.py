"""Where data come from: the teacher, image files in their official format, label views, samples, features."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaxis.errors import KaxisError
from kaxis.sources import images as images_module
from kaxis.sources.image_set import Images
from kaxis.sources.images import ARCHIVES, Archive, load_images
from kaxis.sources.load import load_task
from kaxis.sources.relabel import draw_classes, draw_sample, label_view
from kaxis.sources.sets.cifar import CIFAR100_COARSE, CIFAR100_FINE
from kaxis.sources.synthetic import teacher_task
from kaxis.sources.task import label_facts
from kaxis.spec.images import ImageSpec
from kaxis.spec.sweep import Sweep
from kaxis.spec.teacher import TeacherSpec

TEACHER = TeacherSpec(n_train=2000, n_test=500)


# ---- the teacher ----------------------------------------------------------------------------------------


def test_teacher_against_torch_layers() -> None:
    """The labels are the argmax of a plain `nn.Linear` network that carries the same numbers."""
    import torch
    from torch import nn

    from kaxis.streams import stream

    task = teacher_task(TEACHER, 7, 3)
    rng = stream(3, "teacher", 7)
    layers: list[nn.Module] = []
    for fan_in, out in ((32, 64), (64, 64), (64, 7)):
        draw = torch.from_numpy(rng.uniform(-1, 1, (out, fan_in + 1)) / fan_in**0.5)
        linear = nn.Linear(fan_in, out, dtype=torch.float64)
        linear.weight.data, linear.bias.data = draw[:, :-1], draw[:, -1]
        layers += [linear, nn.ReLU()]
    y = nn.Sequential(*layers[:-1])(torch.from_numpy(task.features).double()).argmax(1).numpy()
    assert (y == np.concatenate([task.y_train, task.y_test])).all()


def test_teacher_inputs_are_standard_normal() -> None:
    x = teacher_task(TEACHER, 5, 0).features
    assert x.shape == (2500, 32)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


def test_teacher_is_redrawn_at_every_K_and_seed_but_not_for_a_learner() -> None:
    assert (teacher_task(TEACHER, 5, 0).y_train == teacher_task(TEACHER, 5, 0).y_train).all()
    assert not (teacher_task(TEACHER, 5, 0).features == teacher_task(TEACHER, 10, 0).features).any()
    assert not (teacher_task(TEACHER, 5, 0).features == teacher_task(TEACHER, 5, 1).features).any()


def test_nested_teacher_keeps_inputs_and_grows_its_output() -> None:
    """A label below K = 5 under the 10-class teacher is the label under the 5-class one."""
    nested = replace(TEACHER, nested_teacher=True)
    five, ten = teacher_task(nested, 5, 0), teacher_task(nested, 10, 0)
    assert (five.features == ten.features).all()
    low = ten.y_train < 5
    assert low.any()
    assert (five.y_train[low] == ten.y_train[low]).all()


def test_label_noise_flips_the_share_asked_for_and_leaves_the_test_set() -> None:
    clean, noisy = teacher_task(TEACHER, 5, 2), teacher_task(replace(TEACHER, label_noise=0.25), 5, 2)
    assert np.mean(clean.y_train != noisy.y_train) == pytest.approx(0.25, abs=0.03)
    assert (clean.y_test == noisy.y_test).all()


def test_default_teacher_is_as_unbalanced_as_a_plain_torch_one() -> None:
    """Mean share of the largest class over 200 draws of `nn.Linear` teachers: .66 / .57 / .40 at K = 5 / 10 / 50."""
    for K, share in ((5, 0.662), (10, 0.567), (50, 0.397)):
        got = np.mean([teacher_task(TEACHER, K, seed).facts["largest_class_share"] for seed in range(40)])
        assert got == pytest.approx(share, abs=0.08)


def test_label_facts_by_hand() -> None:
    facts = label_facts(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 2]), 3)
    assert facts["chance"] == 0.25
    assert facts["largest_class_share"] == 0.75
    assert facts["effective_classes"] == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


# ---- relabelling ----------------------------------------------------------------------------------------


@given(st.integers(0, 50), st.integers(2, 10), st.integers(2, 10))
def test_class_subsets_nest(seed: int, a: int, b: int) -> None:
    names = tuple("abcdefghij")
    small, large = sorted((a, b))
    assert set(draw_classes(names, small, seed)) <= set(draw_classes(names, large, seed))


def _toy(n_classes: int = 12, per_class: int = 9) -> Images:
    y = np.tile(np.arange(n_classes), per_class).astype(np.int64)
    pixels = np.random.default_rng(0).integers(0, 256, (len(y), 4, 5, 1), dtype=np.uint8)
    return Images(pixels, len(y), {"fine": y}, {"fine": tuple(f"c{i}" for i in range(n_classes))}, {})


@given(st.integers(0, 20), st.integers(2, 12))
def test_merge_is_balanced_and_respects_fine_classes(seed: int, groups: int) -> None:
    toy = _toy()
    y, names = label_view(toy, f"merge:{groups}", seed)
    sizes = [len(set(toy.labels["fine"][y == g])) for g in range(groups)]
    assert sum(sizes) == 12
    assert max(sizes) - min(sizes) <= 1
    assert sorted(name for merged in names for name in merged.split("+")) == sorted(toy.names["fine"])


@given(st.integers(0, 20), st.integers(2, 12), st.integers(12, 60))
@settings(max_examples=50)
def test_train_total_is_kept_and_balanced(seed: int, K: int, total: int) -> None:
    y = _toy().labels["fine"]
    y = np.where(y < K, y, -1)
    source = ImageSpec(name="toy", train_total=total)
    if -(-total // K) > 9:
        with pytest.raises(KaxisError, match="images a class"):
            draw_sample(y, K, seed, source)
        return
    counts = np.bincount(y[draw_sample(y, K, seed, source)], minlength=K)
    assert counts.sum() == total
    assert counts.max() - counts.min() <= 1


def test_per_class_samples_nest_along_K() -> None:
    y = _toy().labels["fine"]
    source = ImageSpec(name="toy", per_class=4)
    small = draw_sample(np.where(y < 3, y, -1), 3, 0, source)
    large = draw_sample(np.where(y < 8, y, -1), 8, 0, source)
    assert (np.bincount(y[large], minlength=8)[:8] == 4).all()
    assert set(small) <= set(large)


def test_named_classes() -> None:
    cell = Sweep.of({"source": "digits", "classes": ["7", "1"], "learners": "bp"}).cells()[0]
    task = load_task(cell.config["source"], cell.K, cell.seed)
    assert task.facts["classes"] == ["7", "1"]
    with pytest.raises(KaxisError, match="class 'x' is not one of"):
        load_task({**cell.config["source"], "classes": ["x", "1"]}, 2, 0)


@pytest.mark.parametrize(("split", "sizes"), [("writers", (1157, 640)), ("interleaved", (1201, 596))])
def test_digits_task(split: str, sizes: tuple[int, int]) -> None:
    """Pixels are standardised on the training images of all classes."""
    cell = Sweep.of({"source": "digits", "K": 10, "learners": "bp", "split": split}).cells()[0]
    task = load_task(cell.config["source"], 10, 0)
    assert (task.facts["n_train"], task.facts["n_test"]) == sizes
    assert not set(task.train_rows) & set(task.test_rows)
    train = task.features[task.train_rows]
    assert np.allclose(train.mean(0), 0, atol=1e-5)
    assert np.allclose(train.std(0)[train.std(0) > 0], 1, atol=1e-4)


def test_no_test_digit_is_of_a_writer_who_trains() -> None:
    """Writers wrote the same sequence of digits one after the other: the split is where it starts anew."""
    from sklearn.datasets import load_digits

    from kaxis.sources.sets.digits import WRITERS

    y = load_digits().target
    assert (y[WRITERS : WRITERS + 100] == y[:100]).all()
    images = load_images("digits/writers", Path())
    assert images.n_train == WRITERS
    assert (images.labels["fine"] == y).all()  # contiguous
    old = Sweep.of({"source": "digits", "learners": "bp", "split": "interleaved"}).cells()[0]
    assert "split" not in old.config["source"]  # as records of earlier versions have it
    assert old.source == "digits/interleaved"
    with pytest.raises(KaxisError, match="split = interleaved: not an option of the source 'cifar10'"):
        Sweep.of({"source": "cifar10", "split": "interleaved", "learners": "bp"})


# ---- image files ----------------------------------------------------------------------------------------


def small(name: str) -> Archive:
    """The official layout with few records a file and no published checksums."""
    few = {file: (40 if "train" in file or "data" in file else 20, None) for file in ARCHIVES[name].files}
    archive = ARCHIVES[name]
    return replace(archive, train={f: few[f] for f in archive.train}, test={f: few[f] for f in archive.test})


def write_cifar(folder: Path, name: str, seed: int = 0) -> None:
    """Files in the official binary format: label byte(s), then 3,072 pixel bytes, a record."""
    rng = np.random.default_rng(seed)
    (folder / ARCHIVES[name].folder).mkdir(parents=True, exist_ok=True)
    for file, (records, _) in small(name).files.items():
        y = np.arange(records) % (10 if name == "cifar10" else 100)
        labels = y[:, None] if name == "cifar10" else np.stack([y // 5, y], axis=1)
        pixels = rng.integers(0, 256, (records, 3072))
        (folder / ARCHIVES[name].folder / file).write_bytes(np.hstack([labels, pixels]).astype(np.uint8).tobytes())


@pytest.fixture
def archives(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small archives in place of the official ones; nothing cached before or after."""
    from kaxis.sources import load

    for name in list(ARCHIVES):
        monkeypatch.setitem(images_module.ARCHIVES, name, small(name))
    load_images.cache_clear()
    load.prepare.cache_clear()
    yield
    load_images.cache_clear()
    load.prepare.cache_clear()


@pytest.mark.usefixtures("archives")
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_official_binary_format(name: str, tmp_path: Path) -> None:
    write_cifar(tmp_path, name)
    got = load_images(name, tmp_path)
    assert got.flat.shape[1] == 3072
    first = (tmp_path / ARCHIVES[name].folder / next(iter(small(name).files))).read_bytes()
    assert got.flat[0].tobytes() == first[1 if name == "cifar10" else 2 :][:3072]
    assert got.n_train == (200 if name == "cifar10" else 40)
    if name == "cifar100":
        assert (got.labels["coarse"] == got.labels["fine"] // 5).all()
        assert (len(CIFAR100_FINE), len(CIFAR100_COARSE)) == (100, 20)


@pytest.mark.usefixtures("archives")
def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    write_cifar(tmp_path, "cifar100")
    file = tmp_path / "cifar-100-binary" / "test.bin"
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole + b"x", b""):
        file.write_bytes(damaged)
        load_images.cache_clear()
        with pytest.raises(KaxisError, match=r"test\.bin: \d+ bytes, the official file has 61480"):
            load_images("cifar100", tmp_path)
    file.write_bytes(b"\xff" * len(whole))
    load_images.cache_clear()
    with pytest.raises(KaxisError, match="label 255"):
        load_images("cifar100", tmp_path)


@pytest.mark.usefixtures("archives")
def test_a_file_that_is_not_the_official_one_is_used_with_a_warning_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path, "cifar100")
    archive = small("cifar100")
    monkeypatch.setitem(images_module.ARCHIVES, "cifar100", replace(archive, test={"test.bin": (20, "0" * 32)}))
    with pytest.warns(UserWarning, match="is not the official"):
        got = load_images("cifar100", tmp_path, None)  # as `load_task` will call it
    raw = (tmp_path / "cifar-100-binary" / "test.bin").read_bytes()
    assert got.checksums["test.bin"] == hashlib.md5(raw, usedforsecurity=False).hexdigest()
    source = (
        Sweep.of({"source": "cifar100", "labels": "coarse", "K": 2, "features": "pca:3"}).cells()[0].config["source"]
    )
    assert load_task(source, 2, 0, tmp_path).facts["checksums"] == got.checksums


@pytest.mark.usefixtures("archives")
def test_a_store_keeps_results_of_two_versions_of_the_files_apart(tmp_path: Path) -> None:
    from kaxis.execute.runner import run
    from kaxis.sources.load import prepare
    from kaxis.spec.study import Study
    from kaxis.store.records import Store

    write_cifar(tmp_path, "cifar10")
    study = Study.of(
        "s", {"source": "cifar10", "K": 2, "seeds": "0", "features": "pca:3", "learners": "bp", "steps": 2}
    )
    store = Store(tmp_path / "store")
    assert run(study, store, jobs=1, data=tmp_path).trained == 1
    assert run(study, store, jobs=1, data=tmp_path).trained == 0
    write_cifar(tmp_path, "cifar10", seed=1)
    load_images.cache_clear()
    prepare.cache_clear()
    with pytest.raises(KaxisError, match="trained on other files"):
        run(study, store, jobs=1, data=tmp_path)
    assert run(study, store, jobs=1, data=tmp_path, force=True).trained == 1


@pytest.mark.usefixtures("archives")
def test_a_half_set_is_not_downloaded_over(tmp_path: Path) -> None:
    write_cifar(tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    with pytest.raises(KaxisError, match=r"lacks test_batch\.bin"):
        load_images("cifar10", tmp_path)


@pytest.mark.usefixtures("archives")
def test_pca_is_whitened_cached_and_fitted_without_the_test_images(tmp_path: Path) -> None:
    from kaxis.sources.features import features

    write_cifar(tmp_path, "cifar10")
    got = load_images("cifar10", tmp_path)
    x = features(got, "pca:5", tmp_path / "c")
    assert x.shape == (220, 5)
    assert np.allclose(x[:200].std(0), 1, atol=1e-4)
    assert np.allclose(np.cov(x[:200].T) - np.eye(5), 0, atol=0.02)
    (cached,) = (tmp_path / "c" / "features").glob("*.npy")
    stamp = cached.stat().st_mtime_ns
    again = features(got, "pca:5", tmp_path / "c")
    assert (again == x).all()
    assert cached.stat().st_mtime_ns == stamp
    other_test = replace(got, pixels=np.concatenate([got.pixels[:200], 255 - got.pixels[200:]]))
    assert (features(other_test, "pca:5", None)[:200] == x[:200]).all()
    with pytest.raises(KaxisError, match="at most 200 components"):
        features(got, "pca:201", None)


@pytest.mark.usefixtures("archives")
def test_raw_features_are_standardised_pixels(tmp_path: Path) -> None:
    from kaxis.sources.features import features

    write_cifar(tmp_path, "cifar10")
    got = load_images("cifar10", tmp_path)
    pixels = got.flat.astype(np.float64)
    expected = (pixels - pixels[:200].mean(0)) / pixels[:200].std(0)
    np.testing.assert_allclose(features(got, "raw", None), expected, atol=1e-4)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A local web server over a folder."""
    root = tmp_path / "www"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", root
        httpd.shutdown()
        thread.join()


@pytest.mark.usefixtures("archives")
def test_download_checks_and_unpacks_only_what_is_read(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, root = server
    write_cifar(tmp_path / "made", "cifar100")
    with tarfile.open(root / "c.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-100-binary", "cifar-100-binary")
        evil = tarfile.TarInfo("../evil.txt")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    md5 = hashlib.md5((root / "c.tar.gz").read_bytes(), usedforsecurity=False).hexdigest()
    good = replace(small("cifar100"), url=f"{url}/c.tar.gz", md5=md5)
    monkeypatch.setitem(images_module.ARCHIVES, "cifar100", replace(good, md5="0" * 32))
    with pytest.raises(KaxisError, match="not the official file"):
        load_images("cifar100", tmp_path / "bad")
    assert not list((tmp_path / "bad").rglob("*.bin"))
    monkeypatch.setitem(images_module.ARCHIVES, "cifar100", good)
    assert load_images("cifar100", tmp_path / "got").n_train == 40
    assert not (tmp_path / "evil.txt").exists()
    monkeypatch.setitem(images_module.ARCHIVES, "cifar100", replace(good, url=f"{url}/absent.tar.gz"))
    with pytest.raises(KaxisError, match=r"download of .* failed"):
        load_images("cifar100", tmp_path / "none")
