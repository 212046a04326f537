"""A trace of a few training steps, and the operations that take the most time in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaxis.errors import told

__all__ = ["WAIT", "Profile", "profiler"]

WAIT, STEPS = 3, 10
"""Steps that pass before, and that are looked at: the first ones set memory up."""


@dataclass
class Profile:
    """Where a trace goes, and what it showed.

    Parameters
    ----------
    file : Path
        Chrome's trace format, which ui.perfetto.dev and chrome://tracing open.
    operations : list of dict
        ``operation``, ``calls``, ``ms`` (its own time, without what it calls), ``share``: the ten costliest, from
        `profiler`.
    """

    file: Path
    operations: list[dict[str, Any]] = field(default_factory=list)

    def prove(self) -> None:
        """Raise `KaxisError` if the file cannot be written, before anything is trained; what is in it stays."""
        new = not self.file.exists()
        with told(f"profile {self.file}"):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a"):
                pass
            if new:
                self.file.unlink()


@contextmanager
def profiler(profile: Profile | None, device: str) -> Iterator[Callable[[], None]]:
    """Yields what is to be called after every step; an evaluation that falls among the steps is in the trace."""
    if profile is None:
        yield lambda: None
        return
    from torch.autograd import DeviceType  # type: ignore[attr-defined]
    from torch.profiler import ProfilerActivity, schedule
    from torch.profiler import profile as torch_profile

    cuda = device == "cuda"
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else [])
    own, where = ("self_device_time_total", DeviceType.CUDA) if cuda else ("self_cpu_time_total", DeviceType.CPU)

    def ready(seen: Any) -> None:
        seen.export_chrome_trace(str(profile.file))
        events = [e for e in seen.key_averages() if e.device_type == where and not e.key.startswith("ProfilerStep")]
        # On a GPU a named region (an optimizer's step) has the time of all kernels in it, which are there themselves.
        events = [e for e in events if not (cuda and e.is_user_annotation)]
        events.sort(key=lambda e: -getattr(e, own))
        total = sum(getattr(e, own) for e in events) or 1
        profile.operations[:] = [
            {"operation": e.key, "calls": e.count, "ms": getattr(e, own) / 1e3, "share": getattr(e, own) / total}
            for e in events[:10]
        ]

    steps = schedule(wait=WAIT - 1, warmup=1, active=STEPS, repeat=1)
    with torch_profile(activities=kinds, schedule=steps, on_trace_ready=ready) as seen:
        yield seen.step
