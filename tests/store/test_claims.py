"""Claims: one holder a name, none after a death, and no run that stands still for their sake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kaxis.errors import KaxisError
from kaxis.store import claims
from kaxis.store.claims import claimed, taken

HOLD = "import sys, time; from pathlib import Path; from kaxis.store.claims import claimed\n"
HOLD += "with claimed(Path(sys.argv[1]), sys.argv[2:]) as mine: print(*mine, flush=True); time.sleep(600)"


@contextmanager
def another(folder: Path, *names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds them."""
    line = [sys.executable, "-c", HOLD, str(folder), *names]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == list(names)
        yield process
        process.kill()


def test_a_name_has_one_holder(tmp_path: Path) -> None:
    with claimed(tmp_path, ["a", "b"]) as mine:
        assert mine == ["a", "b"]
        assert taken(tmp_path, ["a", "b", "c"]) == {"a", "b"}
        with claimed(tmp_path, ["a", "c"]) as other:
            assert other == [], "the first is held: all that belongs to it is left"
        with claimed(tmp_path, ["c", "a", "d"]) as other:
            assert other == ["c", "d"]
        with claimed(tmp_path, ["a", "c", "d"], at_most=1) as other:
            assert other == ["c"]
    assert taken(tmp_path, ["a", "b"]) == set()
    assert not list(tmp_path.iterdir())


def test_of_many_threads_one_has_it(tmp_path: Path) -> None:
    holding, most, turns = [0], [0], [0]
    lock = threading.Lock()

    def hold() -> None:
        for _ in range(40):
            with claimed(tmp_path, ["a"]) as mine:
                if mine:
                    with lock:
                        holding[0] += 1
                        turns[0] += 1
                        most[0] = max(most[0], holding[0])
                    with lock:
                        holding[0] -= 1

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert turns[0] > 0
    assert not list(tmp_path.iterdir())


def test_a_killed_holder_is_gone_at_once(tmp_path: Path) -> None:
    with another(tmp_path, "a", "b") as process:
        assert taken(tmp_path, ["a", "b"]) == {"a", "b"}
        with claimed(tmp_path, ["a"]) as mine:
            assert mine == []
        process.kill()
        process.wait()
        assert taken(tmp_path, ["a", "b"]) == set()
        with claimed(tmp_path, ["a"]) as mine:
            assert mine == ["a"]


def test_a_holder_that_stands_still_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes up to somebody else's claim, and leaves it alone."""
    monkeypatch.setattr(claims, "STALE", 1.0)
    with another(tmp_path, "a") as process:
        os.kill(process.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 20
        while taken(tmp_path, ["a"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with claimed(tmp_path, ["a"]) as mine:
            assert mine == ["a"]
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()
            process.wait()
            assert (tmp_path / "a.claim").exists()


def test_a_holder_of_another_machine_goes_by_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There no lock of ours says that it is dead."""
    with another(tmp_path, "a") as process:
        monkeypatch.setattr(claims, "place", lambda: "elsewhere")
        process.kill()
        process.wait()
        assert taken(tmp_path, ["a"]) == {"a"}
        old = time.time() - 2 * claims.STALE
        os.utime(tmp_path / "a.claim", (old, old))
        assert taken(tmp_path, ["a"]) == set()
        with claimed(tmp_path, ["a"]) as mine:
            assert mine == ["a"]


def test_a_long_hold_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "STALE", 1.2)
    with claimed(tmp_path, ["a"]):
        old = time.time() - 100
        os.utime(tmp_path / "a.claim", (old, old))
        time.sleep(1.0)
        assert time.time() - (tmp_path / "a.claim").stat().st_mtime < 50


def test_a_folder_that_takes_none(tmp_path: Path) -> None:
    """Work goes on, with a word."""
    (tmp_path / "file").touch()
    with (
        pytest.warns(UserWarning, match="no claims in .*: runs beside this one may do its work again"),
        claimed(tmp_path / "file" / "claims", ["a", "b"]) as mine,
    ):
        assert mine == ["a", "b"]
    assert taken(tmp_path / "file" / "claims", ["a"]) == set()


def test_foreign_files_are_no_claims(tmp_path: Path) -> None:
    (tmp_path / "b.claim").write_bytes(b"\xff\x00 nonsense")
    old = time.time() - 2 * claims.STALE
    os.utime(tmp_path / "b.claim", (old, old))
    with claimed(tmp_path, ["b"]) as mine:
        assert mine == ["b"]


def test_an_interrupt_while_claiming_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, names: Any, at_most: Any) -> Any:
        self._take("a")
        raise KeyboardInterrupt

    monkeypatch.setattr(claims._Holder, "take_of", interrupted)
    with pytest.raises(KeyboardInterrupt), claims.claimed(tmp_path, ["a"]):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "0", "-1"])
def test_a_patience_that_is_none(text: str) -> None:
    with pytest.raises(KaxisError, match=f"KAXIS_STALE = {text}: seconds, 0.1 to 1,000,000"):
        claims._seconds(text)
