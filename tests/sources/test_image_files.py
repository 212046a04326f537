"""Image files."""

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

from kaxis.errors import KaxisError
from kaxis.sources import images as images_module
from kaxis.sources.images import ARCHIVES, load_images
from kaxis.sources.load import load_task
from kaxis.sources.sets.cifar import CIFAR100_COARSE, CIFAR100_FINE
from kaxis.spec.sweep import Sweep
from tests.sources.archives import small


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
