"""Stacked trainer against a plain loop on the same cells, side by side in one run.

    python benchmarks/trainer.py                 # about 9 minutes on two cores
    python benchmarks/trainer.py --steps 8000    # the whole synthetic sweep both ways, half an hour

Plain: one `nn.Module` after another, `torch.optim.Adam` as it comes, torch's own default threads, autograd, the same
evaluations. Stacked: `kaxis.run` as `kaxis run` uses the machine, start-up of its processes included. Both are
interleaved, learner by learner, so that a slow minute of the machine hits both.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from kaxis.execute.provenance import cores
from kaxis.execute.runner import run
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.study import Study
from kaxis.store.records import Store
from kaxis.train.precision import cpu_matmul, one_thread
from kaxis.train.schedule import evaluation_steps


class Plain(nn.Module):
    """The learners as one would first write them."""

    def __init__(self, learner: str, K: int, width: int = 128, depth: int = 4, inputs: int = 32) -> None:
        super().__init__()
        self.learner = learner
        self.layers = nn.ModuleList(nn.Linear(inputs if i == 0 else width, width) for i in range(depth))
        self.heads = nn.ModuleList(
            nn.Linear(width, K) for _ in range(1 if learner.startswith("bp") and learner != "bp_deepsup" else depth)
        )
        if learner == "dtg_ff":
            self.heads.requires_grad_(False)
            self.alpha = nn.Parameter(torch.zeros(depth))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        out = []
        for i, layer in enumerate(self.layers):
            x = F.relu(layer(x.detach() if self.learner == "dtg_ff" else x))
            if self.learner == "dtg_ff":
                out.append(self.heads[i](x**2 / (0.1 + 1.9 * torch.sigmoid(self.alpha[i]))))
            elif self.learner == "bp_deepsup":
                out.append(self.heads[i](x))
        return out or [self.heads[0](x)]


def plain(cells: list[Cell]) -> float:
    """Seconds to train the cells one network after another."""
    started = time.perf_counter()
    for cell in cells:
        task = load_task(cell.data, cell.K, cell.seed)
        x, y = torch.from_numpy(task.features), torch.from_numpy(task.y_train)
        test = torch.from_numpy(task.y_test)
        for _ in range(cell.algorithm.members):
            net = Plain(cell.learner, cell.K)
            optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
            order = torch.empty(0, dtype=torch.int64)
            for step in range(1, (cell.training.steps or 0) + 1):
                if len(order) < 256:
                    order = torch.cat([order, torch.randperm(len(y))])
                pick, order = order[:256], order[256:]
                loss = torch.stack([F.cross_entropy(z, y[pick]) for z in net(x[pick])]).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if step in evaluation_steps(cell.training.steps or 0):
                    with torch.no_grad():
                        for rows, target in ((task.train_rows, y), (task.test_rows, test)):
                            z = torch.stack(net(x[rows])).sum(0)
                            F.cross_entropy(z, target), (z.argmax(1) == target).sum()
    return time.perf_counter() - started


def matmul_rate(seconds: float = 2.0) -> float:
    """Large float32 products a second on one thread, in GFLOP/s: the ceiling of what follows."""
    n = 2048
    a, b = torch.randn(n, n), torch.randn(n, n)
    with one_thread(), cpu_matmul():
        a @ b
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            a @ b
            count += 1
        return 2 * n**3 * count / (time.perf_counter() - started) / 1e9


def startup() -> float:
    """Median CPU seconds of ``kaxis --help``."""
    import resource

    spent = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "kaxis", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(spent)[3]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--K", type=int, nargs="+", default=[5, 10, 50])
    parser.add_argument("--seeds", default="0-4")
    options = parser.parse_args()
    grid = {"source": "synthetic", "K": options.K, "seeds": options.seeds, "steps": options.steps}
    rate = matmul_rate() * len(cores())
    print(
        f"{len(cores())} cores, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}; large products "
        f"{rate:.0f} GFLOP/s on all cores"
    )
    print(
        f"{options.steps} steps, K {options.K}, seeds {options.seeds}; plain loop on {torch.get_num_threads()} threads"
    )
    total = {"plain": 0.0, "kaxis": 0.0}
    flops = 0.0
    print(f"{'learners':22} {'plain s':>9} {'kaxis s':>9} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for learners in (["bp", "bp_ensemble"], ["bp_deepsup"], ["dtg_ff"]):
            study = Study.of("benchmark", {**grid, "learners": learners})
            slow = plain(study.cells())
            started = time.perf_counter()
            store = Store(Path(folder) / learners[0])
            run(study, store, device="cpu")
            fast = time.perf_counter() - started
            flops += sum(r["counts"]["flops_step"] for r in store.records()) * options.steps
            total["plain"] += slow
            total["kaxis"] += fast
            print(f"{' + '.join(learners):22} {slow:9.1f} {fast:9.1f} {slow / fast:6.2f}", flush=True)
        study = Study.of("benchmark", grid)
        started = time.perf_counter()
        run(study, Store(Path(folder) / "all"), device="cpu")
        together = time.perf_counter() - started
    print(f"{'all, in one command':22} {total['plain']:9.1f} {together:9.1f} {total['plain'] / together:6.2f}")
    floor = flops / rate / 1e9
    print(f"products of the cells one by one: {flops / 1e12:.1f} TFLOP, {floor:.0f} s at the large-product rate;")
    print(f"the command takes {together:.0f} s: {floor / together:.0%} of that rate")
    print("(bp is the first member of bp_ensemble: kaxis trains 4 networks where the plain loop trains 5)")
    print(f"kaxis --help: {startup():.2f} s of CPU")


if __name__ == "__main__":
    main()
