"""Images a second of every learner on VGG8 at 32 px and VGG11 at 224 px, beside a plain PyTorch loop of the same
recipe.

python benchmarks/images.py                             # two-core size, ten minutes: width 0.25
python benchmarks/images.py --net vgg8 --size 16 --width 0.125
python benchmarks/images.py --width 1 --device cuda

The plain loop: one module in PyTorch's default layout, a DataLoader that augments image by image, torch's own threads,
one network after another; local learners as first published (each convolution twice, a step between).
kaxis: on a CPU a process a core, one thread each, as `kaxis run` uses the machine. Both sides take turns, and medians
are compared. The floor is the rate of large products, measured before and after each of kaxis's samples by all its
processes at once, with the library that multiplies for them; where it moves by more than a tenth, no share of it is
printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from itertools import chain, repeat
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from kaxis.execute.provenance import cores
from kaxis.nets.plan import conv_counts
from kaxis.nets.vgg import VGG
from kaxis.sources.task import Task
from kaxis.spec.sweep import Sweep
from kaxis.train.conv import ConvStack
from kaxis.train.precision import cpu_matmul, exact_gpu, one_thread, product_rate, reuse_memory

LEARNERS = ("bp", "bp_deepsup", "bp_concat", "local_ce", "dtg_ff", "bp_ensemble")
DEFAULT = (("vgg8", 32, 128), ("vgg11", 224, 16))
K, IMAGES, SAMPLES = 10, 512, 5


def task(size: int) -> Task:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8)
    y, rows = rng.integers(0, K, IMAGES), np.arange(IMAGES)
    return Task(x, rows, y, rows[:1], y[:1], {}, statistics=((0.5,) * 3, (0.25,) * 3))


def stack(learner: str, net: str, size: int, width: float, batch: int, device: str) -> ConvStack:
    options = {"source": "cifar10", "net": net, "size": size, "width": width, "batch_size": batch, "learners": learner}
    (cell,) = Sweep.of({**options, "seeds": 0, "epochs": 10_000}).cells()
    return ConvStack([cell], [(0, m) for m in range(cell.algorithm.members)], {0: task(size)}, device)


_built: dict[tuple[Any, ...], tuple[ConvStack, Iterator[Any]]] = {}


def rate(arguments: tuple[Any, ...]) -> tuple[float, float, float]:
    """Images a second of one process, an image of an ensemble counted once; large products a second before and
    after.
    """
    *what, device, seconds = arguments
    reuse_memory()
    with one_thread(), exact_gpu() if device == "cuda" else cpu_matmul():
        if tuple(what) not in _built:
            s = stack(*what, device)
            _built[tuple(what)] = s, s.batches.draw(0)
            for _ in range(2):
                s.step(next(_built[tuple(what)][1]))
        s, batches = _built[tuple(what)]
        before = product_rate(device)[0]
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            s.step(next(batches))
            steps += 1
            if device == "cuda":
                torch.cuda.synchronize()
        ours = steps * s.batch / (time.perf_counter() - started)
        return ours, before, product_rate(device)[0]


class Plain(Dataset[tuple[torch.Tensor, int]]):
    """Augmentation image by image, as a data set's `__getitem__` does it."""

    def __init__(self, source: Task) -> None:
        self.x, self.y = torch.from_numpy(source.features).permute(0, 3, 1, 2).contiguous(), source.y_train

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        x, size = self.x[i].float() / 255, self.x.shape[2]
        pad = size // 8
        top, left = torch.randint(0, 2 * pad + 1, (2,)).tolist()
        x = F.pad(x, (pad,) * 4)[:, top : top + size, left : left + size]
        x = x.flip(2) if torch.rand(()) < 0.5 else x
        bright, contrast, saturation = (0.6 + 0.8 * torch.rand(3)).tolist()
        grey = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
        x = ((x - grey) * saturation + grey) * bright
        x = ((x - grey.mean()) * contrast + grey.mean()).clamp(0, 1)
        row, column = torch.randint(0, size, (2,)).tolist()
        x = (x - 0.5) / 0.25
        x[:, max(0, row - size // 8) : row + size // 8, max(0, column - size // 8) : column + size // 8] = 0
        return x, int(self.y[i])


def plain_rates(
    learner: str, net: str, size: int, width: float, batch: int, device: str, seconds: float
) -> Iterator[float]:
    """One sample after another of the plain loop, in images a second."""
    options = {"source": "cifar10", "net": net, "size": size, "width": width, "learners": learner}
    cell = Sweep.of(options).cells()[0]
    shape = {"K": K, "size": size, "net": cell.net, "learner": cell.algorithm}
    members = cell.algorithm.members
    nets = [VGG(0, m, concat=learner == "bp_concat", **shape).to(device) for m in range(members)]
    optimizers = [{i: torch.optim.AdamW(g, lr=2e-4, weight_decay=1e-3) for i, g in n.groups().items()} for n in nets]
    loader = DataLoader(Plain(task(size)), batch_size=batch, shuffle=True, drop_last=True)
    endless = chain.from_iterable(repeat(loader))

    def step() -> None:
        x, y = next(endless)
        for n, own in zip(nets, optimizers, strict=True):
            plain_step(n, own, x.to(device), y.to(device))
        if device == "cuda":
            torch.cuda.synchronize()

    def sample() -> float:
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            step()
            steps += 1
        return steps * batch / (time.perf_counter() - started)

    step()  # warms up
    while True:
        if device == "cuda":
            with exact_gpu():  # in the precision that kaxis has
                now = sample()
        else:
            now = sample()
        yield now


def plain_step(net: VGG, optimizers: dict[int, torch.optim.AdamW], x: torch.Tensor, y: torch.Tensor) -> None:
    drop, h, losses, pools = nn.Dropout(0.1), x, [], []
    local, groups = net.learner.gradient == "local", net.groups()

    def finish(i: int) -> None:
        nn.utils.clip_grad_norm_(groups[i], 1.0)
        optimizers[i].step()
        optimizers[i].zero_grad()

    for i in range(len(net.plan)):
        a = net.activation(i, h.detach() if local else h)
        if i in net.headed:
            losses.append(F.cross_entropy(net.head(i, a), y))
            if local:
                losses[-1].backward()
                finish(i)
                a = net.activation(i, h.detach())
        pools.append(a.mean((2, 3)))
        if i + 1 < len(net.plan):
            h = drop(net.onward(i, a, None))
    if local:
        return
    if net.concat:
        losses.append(F.cross_entropy(net.classify(pools[1:], None), y, label_smoothing=0.1))
    torch.stack(losses).sum().backward()
    for i in groups:
        finish(i)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", help="one net instead of both, with --size and --batch")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each sample")
    parser.add_argument("--learners", nargs="*", default=LEARNERS)
    a = parser.parse_args()
    processes = len(cores()) if a.device == "cpu" else 1
    print(
        f"{processes} processes on {a.device}, width {a.width}, medians of {SAMPLES} samples of {a.seconds:g} s "
        "each, in turns"
    )
    print(
        f"{'net':6} {'px':>4} {'learner':12} {'plain img/s':>12} {'kaxis img/s':>12} {'ratio':>6} {'GFLOP/s':>8} "
        f"{'of the floor':>13}"
    )
    context = multiprocessing.get_context("spawn")
    for net, size, batch in ((a.net, a.size, a.batch),) if a.net else DEFAULT:
        for learner in a.learners:
            what = (learner, net, size, a.width, batch)
            plain = plain_rates(*what, a.device, a.seconds)
            plains, ours, floors = [], [], []
            with context.Pool(processes) as pool:
                pool.map(rate, [(*what, a.device, 0.5)] * processes, chunksize=1)  # builds and warms up
                for _ in range(SAMPLES):
                    plains.append(next(plain))
                    each = pool.map(rate, [(*what, a.device, a.seconds)] * processes, chunksize=1)
                    ours.append(sum(e[0] for e in each))
                    floors += [sum(e[1] for e in each), sum(e[2] for e in each)]
            leg = Sweep.of({"source": "cifar10", "net": net, "size": size, "width": a.width, "learners": learner})
            c = leg.cells()[0]
            flops = conv_counts(K=K, size=size, batch=1, net=c.net, learner=c.algorithm)["flops_step"]
            spread = (max(floors) - min(floors)) / median(floors)
            share = f"{median(ours) * flops / median(floors):.0%}" if spread <= 0.1 else f"moved {spread:.0%}"
            print(
                f"{net:6} {size:4} {learner:12} {median(plains):12.1f} {median(ours):12.1f} "
                f"{median(ours) / median(plains):6.2f} {median(floors) / 1e9:8.0f} {share:>13}",
                flush=True,
            )


if __name__ == "__main__":
    main()
