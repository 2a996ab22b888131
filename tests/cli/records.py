"""The records of a run: the lines of its metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def scores(task: str, name: str, folder: Path = Path("runs/run")) -> list[float]:
    """Return a dev score of every epoch."""
    return [record["dev"][task][name] for record in records(folder) if record["type"] == "epoch"]


def records(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl without times."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    clock = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]
