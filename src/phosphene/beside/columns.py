"""Several models beside each other: what each is called, where its maps go, and who judges them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from phosphene.beside.record import Column
from phosphene.errors import BadInput
from phosphene.model.classifier import Classifier
from phosphene.model.record import ModelRecord
from phosphene.runs.store import file_stem

DIGITS = 8  # hexadecimal, of the digest that tells two models of one name apart


def name_columns(classifiers: Sequence[Classifier]) -> tuple[Column, ...]:
    """A column for each model, in order; the first one's maps go into the folder itself, the others' into a subfolder
    of their name. Where another before it has that name, a digest of the model is added.

    Raises `BadInput` for a model that is there twice.
    """
    columns: list[Column] = []
    for classifier in classifiers:
        record = ModelRecord.of(classifier)
        for other in columns:
            if _identity(other.model) == _identity(record):
                raise BadInput(f"{record.name} is asked twice: the same weights, input and outputs; leave one out")
        columns.append(_name_column(record, columns))
    return tuple(columns)


def _name_column(record: ModelRecord, before: Sequence[Column]) -> Column:
    alike = [one for one in before if folder_name(one.model.name) == folder_name(record.name)]
    digest = hashlib.sha256(repr(_identity(record)).encode()).hexdigest()[:DIGITS]
    title = f"{record.name} ({digest})" if any(one.model.name == record.name for one in alike) else record.name
    taken = [one for one in alike if one.folder]  # the first has no subfolder
    folder = f"{folder_name(record.name)}-{digest}" if taken else folder_name(record.name)
    return Column(title, folder if before else "", record)


def _identity(record: ModelRecord) -> tuple[object, ...]:
    return record.fingerprint, record.input, record.output_kind, record.behavior


def folder_name(model: str) -> str:
    """The name of a folder for a model: its own where every file system takes that, else one as of a map's file."""
    return model if re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", model) and len(model) <= 60 else file_stem(model)


def choose_verifiers(number: int, classifiers: Sequence[Classifier], others: Sequence[Classifier]) -> list[Classifier]:
    """Those that say while the maps of the `number`-th model are made what they see in them, each once: the other
    models of the table, then `others`. `judging` adds models with other classes."""
    classifier = classifiers[number]
    able: dict[str, Classifier] = {}
    for other in (*classifiers, *others):
        if can_verify(other, classifier) and other.fingerprint != classifier.fingerprint:
            able.setdefault(other.fingerprint, other)
    return list(able.values())


def can_verify(judge: Classifier, classifier: Classifier) -> bool:
    """Whether the judge has the very same classes, and takes images of as many channels."""
    return judge.labels == classifier.labels and judge.format.channels == classifier.format.channels
