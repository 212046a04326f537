"""Downloads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaxis.errors import KaxisError
from kaxis.sources import archives
from kaxis.sources.archives import ARCHIVES
from kaxis.sources.info import Archive


class Reply:
    def __init__(self, body: bytes, status: int) -> None:
        self.body, self.status_code, self.headers = body, status, {"Content-Length": str(len(body))}

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, size: int) -> Iterator[bytes]:
        for start in range(0, len(self.body), 10):
            yield self.body[start : start + 10]


def test_an_interrupted_download_goes_on_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    body, asked = bytes(range(100)), []
    a = ARCHIVES["bloodmnist"]
    md5 = hashlib.md5(body).hexdigest()
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, {"bloodmnist.npz": (1, md5)}, {}))

    class Cut(Reply):
        def iter_content(self, size: int) -> Iterator[bytes]:
            yield self.body[:40]
            raise requests.ConnectionError("cut")

    monkeypatch.setattr(requests, "get", lambda url, **_: Cut(body, 200))
    with pytest.raises(KaxisError, match="ConnectionError; or put medmnist/bloodmnist"):
        archives.download("bloodmnist", tmp_path)

    def rest(url: str, headers: dict[str, str], **_: object) -> Reply:
        asked.append(headers["Range"])
        return Reply(body[40:], 206)

    monkeypatch.setattr(requests, "get", rest)
    archives.download("bloodmnist", tmp_path)
    assert asked == ["bytes=40-"]
    assert (tmp_path / "medmnist" / "bloodmnist.npz").read_bytes() == body
    other = {"bloodmnist.npz": (1, md5), "more.npz": (1, md5)}
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, other, {}))
    mine = tmp_path / "medmnist" / "bloodmnist.npz"
    mine.write_bytes(b"my own file")
    monkeypatch.setattr(requests, "get", lambda url, **_: Reply(body, 200))
    archives.download("bloodmnist", tmp_path)
    assert mine.read_bytes() == b"my own file"
    mine.unlink()
    monkeypatch.setitem(ARCHIVES, "bloodmnist", Archive(a.url, "", a.folder, {"bloodmnist.npz": (1, md5)}, {}))
    monkeypatch.setattr(requests, "get", lambda url, **_: Reply(b"something else", 200))
    with pytest.raises(KaxisError, match="not the official file"):
        archives.download("bloodmnist", tmp_path)
    assert archives.missing_files("bloodmnist", tmp_path) == ["bloodmnist.npz"]
