"""Contracts of all registered parts: help, papers and documentation."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from mtl.data.mixing import MIXING
from mtl.data.readers import READERS
from mtl.embeddings import EMBEDDINGS
from mtl.heads import HEADS
from mtl.metrics import METRICS
from mtl.options import options_of
from mtl.sharing import SHARING
from mtl.training.averaging import AVERAGES
from mtl.training.optimizers import OPTIMIZERS
from mtl.training.schedules import SCHEDULES
from mtl.trunks import TRUNKS
from mtl.weighting import WEIGHTING

REGISTRIES = [
    AVERAGES, EMBEDDINGS, HEADS, METRICS, MIXING, OPTIMIZERS, READERS, SCHEDULES, SHARING, TRUNKS,
    WEIGHTING,
]  # fmt: skip
PARTS = [
    pytest.param(part, id=f"{registry.kind}-{name}")
    for registry in REGISTRIES
    for name, part in registry.items()
]
METHODS = [
    pytest.param(part, id=f"{registry.kind}-{name}")
    for registry in [AVERAGES, EMBEDDINGS, HEADS, SHARING, TRUNKS, WEIGHTING]
    for name, part in registry.items()
]


@pytest.mark.parametrize("part", PARTS)
def test_every_option_is_documented(part: type) -> None:
    assert not [option.name for option in options_of(part) if not option.help]


@pytest.mark.parametrize("part", PARTS)
def test_every_option_has_a_type(part: type) -> None:
    assert not [option.name for option in options_of(part) if option.annotation is Any]


@pytest.mark.parametrize("part", METHODS)
def test_every_method_names_its_paper(part: type) -> None:
    assert re.search(r"\b(19|20)\d\d\b|\(–\)", inspect.getdoc(part) or "")
