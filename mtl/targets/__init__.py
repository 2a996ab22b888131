"""Targets: the forms of the values that tasks predict, one class per form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtl.targets.base import (
    MISSING,
    UNLABELLED,
    BuildContext,
    Level,
    SentenceTarget,
    Target,
    TokenTarget,
    labelled,
)
from mtl.targets.label import SentenceLabelTarget, TokenLabelTarget
from mtl.targets.label_set import LabelSet, LabelSetTarget
from mtl.targets.number import Number, NumberTarget
from mtl.targets.objectives import Objective, OneLabel
from mtl.targets.partial import PartialLabelTarget
from mtl.targets.soft import SoftLabelTarget, TokenSoftLabelTarget
from mtl.targets.token_number import TokenNumberTarget
from mtl.targets.token_set import TokenSetTarget
from mtl.targets.words import FrequencyTarget, NextWordTarget
from mtl.text.example import ABSENT

FORMS: dict[str, tuple[type[Target], ...]] = {
    "label": (SentenceLabelTarget, TokenLabelTarget),
    "set": (LabelSetTarget,),
    "number": (NumberTarget,),
    "soft": (SoftLabelTarget, TokenSoftLabelTarget),
    "token_set": (TokenSetTarget,),
    "token_number": (TokenNumberTarget,),
    "partial": (PartialLabelTarget,),
}
"""`form:` in a corpus file to its targets; with several, the data decides per corpus."""

DERIVED: dict[str, tuple[type[Target], ...]] = {
    "text": (NextWordTarget,),
    "word": (FrequencyTarget,),
    "hint": FORMS["label"],
}
"""Sources of labels that follow from the words to their targets."""

_BY_NAME = {
    target.name: target for targets in (*FORMS.values(), *DERIVED.values()) for target in targets
}


def target_by_name(name: str) -> type[Target]:
    """Return the target with a name that was saved.

    Raises:
        ValueError: No target has this name.
    """
    if not isinstance(name, str) or name not in _BY_NAME:
        raise ValueError(f"unknown form of labels {name!r}; was it saved by a later version?")
    return _BY_NAME[name]


def target_to_json(target: Target) -> dict[str, Any]:
    """Return a target made of JSON types; `target_from_json` reads it."""
    return {"type": target.name, **target.to_json()}


def target_from_json(data: Mapping[str, Any]) -> Target:
    """Make a target from its JSON form, also from the form of versions without `type`."""
    cls, data = saved_target(data)
    return cls.from_json(data)


def saved_target(data: Mapping[str, Any]) -> tuple[type[Target], Mapping[str, Any]]:
    """Return the class of a target in its JSON form, and the argument for its `from_json`."""
    if "sets" in data:  # the old key of the labels of sets
        data = {"labels": data["sets"], "type": LabelSetTarget.name}
    return target_by_name(data["type"] if "type" in data else _old_name(data)), data


def _old_name(data: Mapping[str, Any]) -> str:
    """Return the name for a JSON form without a type, which its keys identify."""
    for key, target in (
        ("words", NextWordTarget),
        ("bins", FrequencyTarget),
        ("mean", NumberTarget),
    ):
        if key in data:
            return target.name
    return (TokenLabelTarget if data["level"] == "token" else SentenceLabelTarget).name


__all__ = [
    "ABSENT",
    "DERIVED",
    "FORMS",
    "MISSING",
    "UNLABELLED",
    "BuildContext",
    "FrequencyTarget",
    "LabelSet",
    "LabelSetTarget",
    "Level",
    "NextWordTarget",
    "Number",
    "NumberTarget",
    "Objective",
    "OneLabel",
    "PartialLabelTarget",
    "SentenceLabelTarget",
    "SentenceTarget",
    "SoftLabelTarget",
    "Target",
    "TokenLabelTarget",
    "TokenNumberTarget",
    "TokenSetTarget",
    "TokenSoftLabelTarget",
    "TokenTarget",
    "labelled",
    "saved_target",
    "target_by_name",
    "target_from_json",
    "target_to_json",
]
