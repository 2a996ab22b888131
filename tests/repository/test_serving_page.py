"""The tables of docs/serving.md agree with the server."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from mtl.serving.counters import STATUSES, Counters
from mtl.serving.limits import Limits
from mtl.serving.queries import FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_limits() -> None:
    shown = dict(re.findall(r"`--max-([a-z]+) (\d+)`", PAGE))
    assert {name: float(value) for name, value in shown.items()} == dataclasses.asdict(Limits())


def test_fields() -> None:
    table = PAGE.partition("| field | value |")[2].partition("\n\n")[0]
    assert {name for name in re.findall(r"`([a-z_]+)`", table) if name in FIELDS} == set(FIELDS)


def test_statuses() -> None:
    named = {int(status) for status in re.findall(r"\b[2345]\d\d\b", PAGE)}
    assert set(STATUSES) <= named


def test_metrics() -> None:
    kinds = re.findall(r"^# TYPE (\w+)", Counters().text(), re.MULTILINE)
    assert sorted(re.findall(r"^\| `(mtl_\w+)`", PAGE, re.MULTILINE)) == sorted(kinds)
