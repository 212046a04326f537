"""Two learners along K on digits: train, compare, draw.

python examples/compare.py [STEPS]

Half a minute on two cores; run it again and nothing is trained twice.
"""

import sys
from pathlib import Path

import kaxis
from kaxis import plots

PAIR = {"learner": "dtg_ff", "baseline": "bp_deepsup"}


def main(steps: int = 1000) -> None:
    study = kaxis.Study.of(
        "compare",
        {"source": "digits", "K": [3, 5, 10], "seeds": "0-4", "steps": steps, "learners": list(PAIR.values())},
    )
    store = kaxis.Store("compare")
    kaxis.run(study, store)
    cube = kaxis.load_cube(store)
    effect = kaxis.paired(cube, **PAIR)
    for sentence in [*kaxis.verdicts(effect), *kaxis.verdicts(kaxis.contrast(cube, **PAIR))]:
        print(sentence)
    for file in plots.save(*plots.k_conflict(effect), Path("compare"), "k_conflict"):
        print(file)


if __name__ == "__main__":  # kaxis.run starts processes, which import this file
    main(*map(int, sys.argv[1:]))
