"""What a record must hold: every field's type and range, and what its numbers must agree on.

Later versions may add fields, which are passed over.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AllowInfNan, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from kaxis.errors import KaxisError
from kaxis.outcomes import unpack

__all__ = ["doubt", "fault"]

Fraction = Annotated[float, Strict(), AllowInfNan(False), Ge(0), Le(1)]
Loss = Annotated[float, Strict(), AllowInfNan(False), Ge(0)]
Positive = Annotated[float, Strict(), AllowInfNan(False), Gt(0), Le(1e30)]
Count = Annotated[int, Strict(), Ge(0), Le(2**62)]
Text = Annotated[str, Strict()]
Looks = list[Fraction | None]
Losses = list[Loss | None]


class Metrics(TypedDict):
    train_accuracy: NotRequired[Fraction]
    test_accuracy: NotRequired[Fraction]
    train_loss: NotRequired[Loss]
    test_loss: NotRequired[Loss]
    held_accuracy: NotRequired[Fraction]
    held_loss: NotRequired[Loss]
    layer_test_accuracy: NotRequired[list[Fraction]]
    temperature: NotRequired[list[Positive]]
    selected_step: NotRequired[Count]


class Curves(TypedDict):
    step: list[Count]
    train_accuracy: Looks
    test_accuracy: Looks
    train_loss: Losses
    test_loss: Losses
    held_accuracy: NotRequired[Looks]
    held_loss: NotRequired[Losses]
    layer_test_accuracy: NotRequired[list[list[Fraction]]]
    temperature: NotRequired[list[list[Positive]]]


class Data(TypedDict):
    n_train: NotRequired[Annotated[int, Strict(), Ge(1)]]
    n_test: NotRequired[Annotated[int, Strict(), Ge(1)]]
    chance: NotRequired[Fraction]
    largest_class_share: NotRequired[Fraction]
    effective_classes: NotRequired[Positive]
    epochs: NotRequired[Positive]
    checksums: NotRequired[dict[Text, Text]]


class Counts(TypedDict):
    parameters: NotRequired[Count]
    buffers: NotRequired[Count]
    flops_step: NotRequired[Count]
    flops_predict: NotRequired[Count]


class Provenance(TypedDict):
    digest: NotRequired[Annotated[str, Strict(), MinLen(64)]]
    finished: NotRequired[Text]
    first_finished: NotRequired[Text]
    backend: NotRequired[Text]
    device: NotRequired[Text]
    cpu: NotRequired[Text]


class Named(TypedDict):
    name: Annotated[str, Strict(), MinLen(1)]


class Learner(Named):
    members: Annotated[int, Strict(), Ge(1), Le(10**6)]
    inference: Text
    settings: NotRequired[dict[Text, Any]]


class Training(TypedDict):
    batch_size: Annotated[int, Strict(), Ge(1), Le(2**62)]


class Config(TypedDict):
    source: Named
    K: Annotated[int, Strict(), Ge(2), Le(10**9)]
    seed: Annotated[int, Strict(), Ge(0), Le(2**63 - 1)]
    learner: Learner
    net: Named
    train: Training


class Tried(TypedDict):
    learner: Text
    id: Text
    status: Literal["done", "failed"]
    held_accuracy: Fraction | None
    held_loss: Loss | None


class Tuning(TypedDict):
    chosen: Text | None
    tried: Annotated[list[Tried], MinLen(1)]


class Record(TypedDict):
    config: Config
    status: Literal["done", "failed"]
    reason: Text
    metrics: Metrics
    curves: Curves
    test_right: NotRequired[Text]
    tuning: NotRequired[Tuning]
    data: Data
    counts: Counts
    provenance: Provenance


NEEDED = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
FACTS = ("n_train", "n_test", "chance")


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Record)


def fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record's fields, in words; None where each has its type and range and they agree.

    A done cell has its four metrics and no reason, a failed one a reason and no metrics. Final metrics stand in the
    curves.

    Examples
    --------
    >>> fault({"config": 3})
    'config = 3: a valid dictionary'
    """
    try:
        _adapter().validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Input should be ").lower()
        if first["type"] == "missing":
            return f"{place} is missing"
        return f"{place} = {_short(first['input'])}: {message}"
    except RecursionError:
        return "nested too deeply"
    return _disagreement(record)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _disagreement(record: Mapping[str, Any]) -> str | None:
    metrics, curves = record["metrics"], record["curves"]
    if record["status"] == "failed":
        if not record["reason"]:
            return "status = 'failed' without a reason"
        return "status = 'failed', and yet metrics" if metrics else None
    if record["reason"]:
        return f"status = 'done', and yet the reason {_short(record['reason'])}"
    for name, where in (*((n, "metrics") for n in NEEDED), *((n, "data") for n in FACTS)):
        if name not in record[where]:
            return f"{where}.{name} is missing"
    steps = curves["step"]
    if any(a >= b for a, b in itertools.pairwise(steps)):
        return "curves.step does not grow"
    for name, values in curves.items():
        if name != "temperature" and isinstance(values, list) and len(values) != len(steps):
            return f"curves.{name} has {len(values)} entries for {len(steps)} steps"
    if not steps:
        return "curves.step is empty"
    if metrics.get("selected_step", steps[-1]) not in steps:
        return f"metrics.selected_step = {metrics['selected_step']}: no step that was looked at"
    at = steps.index(metrics.get("selected_step", steps[-1]))
    for name in (*NEEDED, "held_accuracy"):
        if name in metrics and name in curves and metrics[name] != curves[name][at]:
            return f"metrics.{name} = {metrics[name]}, its curve ends with {curves[name][at]}"
    return _miscounted(record) if "test_right" in record else None


def _miscounted(record: Mapping[str, Any]) -> str | None:
    n, accuracy = record["data"]["n_test"], record["metrics"]["test_accuracy"]
    try:
        right = int(unpack(record["test_right"], n).sum())
    except KaxisError as error:
        return f"test_right: {error}"
    return (
        None
        if right == round(accuracy * n)
        else f"test_right: {right} of {n} samples, and yet test_accuracy = {accuracy}"
    )


def doubt(record: Mapping[str, Any]) -> str | None:
    """What makes a record without a digest look altered: an accuracy that is no whole number of samples over their
    count.
    """
    for split in ("train", "test"):
        count = record["data"].get(f"n_{split}", 1)
        for value in record["curves"][f"{split}_accuracy"]:
            if value is not None and abs(value * count - round(value * count)) > 1e-6:
                return f"curves.{split}_accuracy {value} is no whole number of {count} samples"
    return None
