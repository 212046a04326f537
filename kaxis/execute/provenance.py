"""What made a record: versions, commit, device; and what there is to make it on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kaxis
from kaxis.errors import KaxisError

__all__ = ["cores", "device_of", "provenance"]


def cores() -> list[int]:
    """Processor cores that this process may use, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def device_of(name: str) -> str:
    """``cpu`` or ``cuda`` for a name as typed; ``auto`` takes a GPU if there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise KaxisError(f"device {name}: auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and _no_gpu()):
        return "cpu"
    # Asked of the driver's library: else the driver starts here, and sees for good the GPUs that there are now, not the
    # one that this run is given.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise KaxisError("device cuda: this machine or this build of torch has no CUDA; use cpu")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _no_gpu() -> bool:
    """Whether there is surely none, without torch, which takes a second to import."""
    files = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
    return sys.platform == "darwin" or (sys.platform == "linux" and not any(Path(f).exists() for f in files))


@cache
def provenance(device: str) -> dict[str, Any]:
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}
    packages = {name: version(name) for name in ("kaxis", "torch", "numpy", "scikit-learn")}
    return {
        "versions": {"python": platform.python_version(), **packages},
        "git": _git(),
        "device": device,
        **gpu,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
        "mkl_cbwr": os.environ.get("MKL_CBWR", ""),
    }


def _git() -> dict[str, Any]:
    """Commit of the checkout that holds this package, and whether it has uncommitted changes; empty elsewhere."""
    package = Path(kaxis.__file__).parent

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(kaxis.__file__).name)
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no", ".")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}
