"""How long a run says that it takes."""

from __future__ import annotations

import pytest

from kaxis.cli import display
from kaxis.execute.progress import Progress


@pytest.mark.parametrize(("flops", "guess", "said"), [(1e13, 600.0, 2), (1e13, 20.0, 1), (1e9, 600.0, 1)])
def test_by_arithmetic_before_it_starts_and_by_its_rate_after_a_minute(
    flops: float, guess: float, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guess of long work alone, each once; what lasts longer than was guessed says so too."""
    now, words = [0.0], list[str]()
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(display, "estimate", lambda *_: ("10 min by arithmetic", guess))
    show = display._estimated(2, "cpu", words.append)
    progress = Progress(4, 1000, flops, show)
    show(progress)
    assert words == ["4 cells to train: 10 min by arithmetic"] * (said == 2)
    for second in range(10, 200, 10):  # a cell of dear steps first: steps would say another rate than arithmetic does
        now[0] = float(second)
        progress.advance(1, flops=flops / 40)
    assert words[-1] == "after 60 s of work, by its own rate: 7 min in all"
    assert len(words) == said


def test_what_is_left_is_by_arithmetic() -> None:
    progress = Progress(2, 300, 100.0)
    assert progress.seconds_left(5) is None
    progress.advance(200, flops=25.0)
    assert progress.seconds_left(5) == pytest.approx(15)


def test_steps_of_a_checkpoint_are_done_but_no_rate() -> None:
    """A run that goes on would otherwise promise to be as fast as reading a file."""
    progress = Progress(2, 300, 100.0)
    progress.advance(150, flops=50.0, spared=150)
    assert progress.seconds_left(5) is None
    progress.advance(30, flops=10.0)
    assert (progress.network_steps_done, progress.rate(5)) == (180, 6)
    assert progress.seconds_left(5) == pytest.approx(20)
