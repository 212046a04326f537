"""``kaxis store``: is what a store holds to be believed; one as a file; several into one."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from kaxis.cli.common import Json, StorePath, check_output, existing_store, open_store
from kaxis.errors import KaxisError, visible

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
    from kaxis.store.merge import PARTS
    from kaxis.store.records import Store
    from kaxis.store.schema import doubt

    place = existing_store(store)
    whole, problems, without = 0, list[str](), list[str]()
    for part in (Store(place.path / prefix) for prefix in PARTS):
        doubts = []
        for record in part.records():
            whole += 1
            name = str(part.name(record))
            if "digest" not in record["provenance"]:
                without.append(name)
            if record["status"] == "done" and (why := doubt(record)):
                doubts.append(f"{name}: {why}")
        problems += [*part.problems, *doubts]
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


@app.command
def pack(file: Path, /, *, store: StorePath = None) -> int:
    """Write a store's records and studies as one file, to take elsewhere.

    Example: kaxis store pack here.tar.gz --store runs

    Parameters
    ----------
    file
        A compressed tar file, which kaxis store merge reads.
    """
    from kaxis.store import merge as stores

    place = existing_store(store)
    check_output(file, (".tar.gz", ".tgz"))
    print(f"{file}: {stores.pack(place, file)} records of {place.path}")
    return 0


@app.command
def merge(*others: Path, store: StorePath = None) -> int:
    """Take what a store lacks from others: folders, or files of kaxis store pack. Where both have a cell with other
    numbers, its own stays and the conflict is named (exit 1).

    Example: kaxis store merge there.tar.gz --store runs

    Parameters
    ----------
    others
        Stores.
    """
    from kaxis.store import merge as stores

    if not others:
        raise KaxisError("merge: name the stores to take from, folders or files of kaxis store pack")
    place, wrong = open_store(store), False
    for path in others:
        if not path.exists():
            raise KaxisError(f"{path}: no such store")
        with stores.opened(path) as other:
            done = stores.merge(place, other)
        same = f"{done.same} there already to the same numbers"
        print(f"{path}: {done.taken} records taken into {place.path}, {same}, {len(done.conflicts)} conflicts")
        for line in (*done.conflicts, *done.problems):
            print(visible(f"kaxis: {line}"))
        wrong = wrong or bool(done.conflicts or done.problems)
    return 1 if wrong else 0
