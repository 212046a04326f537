"""Where a training step's time goes, by kind of operation, for one stack on one core.

python benchmarks/time_shares.py        # half a minute
"""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from kaxis.execute.grouping import STACK
from kaxis.nets.mlp import MLPStack
from kaxis.nets.plan import counts
from kaxis.spec.net import MLPSpec
from kaxis.spec.sweep import Sweep
from kaxis.train.precision import cpu_matmul, one_thread

STEPS = 300
KINDS = {
    "products": ("aten::bmm", "aten::baddbmm"),
    "optimizer": ("aten::_fused_adam_", "Optimizer.step"),
    "softmax": ("aten::exp", "aten::amax", "aten::sub", "aten::scatter_add", "aten::div"),
    "gather": ("aten::index_select",),
}


def main() -> None:
    print(f"{'learner':12} {'K':>3} {'ms/network-step':>16} {'GFLOP/s':>8}  share of time")
    for name in ("bp", "bp_deepsup", "dtg_ff"):
        for K in (5, 50):
            learner = Sweep.of({"source": "synthetic", "K": K, "learners": name}).cells()[0].algorithm
            size = {"K": K, "inputs": 32, "net": MLPSpec()}
            net = MLPStack([(seed, 0) for seed in range(STACK)], **size, learner=learner)
            optimizer = torch.optim.Adam([net.parameters], fused=True)
            x, y = torch.randn(100_000, 32), torch.randint(0, K, (STACK, 256))
            rows = torch.randint(0, len(x), (STEPS, STACK * 256))

            def steps(net=net, optimizer=optimizer, x=x, y=y, rows=rows) -> None:  # type: ignore[no-untyped-def]
                for row in rows:
                    net.gradients(x.index_select(0, row).view(STACK, 256, 32), y)
                    optimizer.step()

            steps()
            with profile(activities=[ProfilerActivity.CPU], acc_events=True) as trace:
                steps()
            events = trace.key_averages()
            total = sum(e.self_cpu_time_total for e in events)
            shares = {
                kind: sum(e.self_cpu_time_total for e in events if e.key.startswith(ops)) / total
                for kind, ops in KINDS.items()
            }
            shares["other"] = 1 - sum(shares.values())
            ms = total / 1e3 / STEPS / STACK
            rate = counts(**size, batch=256, learner=learner)["flops_step"] / ms / 1e6
            print(
                f"{name:12} {K:3} {ms:16.3f} {rate:8.0f}  " + ", ".join(f"{k} {v:.0%}" for k, v in shares.items()),
                flush=True,
            )


if __name__ == "__main__":
    with one_thread(), cpu_matmul():
        main()
