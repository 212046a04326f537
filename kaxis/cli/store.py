"""``kaxis store``: is what a store holds to be believed?"""

from __future__ import annotations

from cyclopts import App

from kaxis.cli.common import Json, StorePath, open_store
from kaxis.errors import KaxisError

__all__ = ["app"]

app = App(name="store", help="Look after a folder of records.\n\nExample: kaxis store check")


@app.command
def check(*, store: StorePath = None, json: Json = False) -> int:
    """Read every record, study and kept file: what is damaged or foreign, and what carries no digest of its content
    (exit 1 if anything is wrong).

    Records of versions before 0.2 have no digest. They are valid; what can be checked of them is.

    Example: kaxis store check --store studies/results/main
    """
    from kaxis.io import read_bounded, unseal
    from kaxis.store.schema import doubt

    place = open_store(store)
    if not place.path.is_dir():
        raise KaxisError(f"no store at {place.path}; fill one with, for example: kaxis run digits --K 3 5 10")
    whole, doubts, without = 0, [], []
    for record in place.records():
        whole += 1
        name = str(place.name(record))
        if "digest" not in record["provenance"]:
            without.append(name)
        if record["status"] == "done" and (why := doubt(record)):
            doubts.append(f"{name}: {why}")
    problems = [*place.problems, *doubts]
    place.problems.clear()
    place.studies()
    problems += place.problems
    sealed, unsealed = 0, 0
    for folder in ("weights", "checkpoints"):
        for file in sorted((place.path / folder).glob("*.pt")):
            try:
                if unseal(read_bounded(file, 2**40)) is None:
                    unsealed += 1
                else:
                    sealed += 1
            except (OSError, ValueError) as error:
                problems.append(f"{file}: {error}")
    if json:
        import json as js

        found = {
            "records": whole,
            "without_digest": without,
            "sealed": sealed,
            "unsealed": unsealed,
            "problems": problems,
        }
        print(js.dumps(found, indent=1))
        return 1 if problems else 0
    print(
        f"{place.path}: {whole} records are whole, {whole - len(without)} of them with a digest that agrees, "
        f"{len(without)} of before digests"
    )
    if sealed or unsealed:
        print(f"weights and checkpoints: {sealed} whole by their digest, {unsealed} of before digests")
    for problem in problems:
        print(f"kaxis: {problem}")
    return 1 if problems else 0
