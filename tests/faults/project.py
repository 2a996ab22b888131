"""A run over one corpus whose files a test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.cli.command import Result, mtl

READER = {"type": "conll", "columns": ["tokens", "tag"]}
TAGS = {"labels": "tag", "head": "softmax", "metric": "accuracy"}
SPANS = {"labels": "tag", "scheme": "bio", "head": "crf", "metric": "span_f1"}
KINDS = {"labels": "kind", "head": "pool", "metric": "accuracy"}


class Project:
    """Writes the files of a run into the current folder, and runs commands on it."""

    def __init__(
        self,
        task: dict[str, Any],
        files: dict[str, str],
        *,
        reader: dict[str, Any] = READER,
        training: dict[str, Any] | None = None,
        **tasks: dict[str, Any],
    ) -> None:
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf-8")
        wanted = {"t": task, **tasks}
        splits = {Path(name).stem: name for name in files}
        run = {
            "embedding": {"words": {"dim": 8}},
            "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 8},
            "tasks": {name: {"use": f"c/{name}"} for name in wanted},
            "corpora": {"c": {"reader": reader, "files": splits, "tasks": wanted}},
            "training": {"epochs": 2, **(training or {})},
        }
        Path("run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))

    def check(self, *overrides: str) -> Result:
        return mtl("check", "run.yaml", *overrides)

    def train(self, *overrides: str) -> Result:
        return mtl("train", "run.yaml", "--output", "r", *overrides)

    def evaluate(self, *options: str) -> Result:
        return mtl("evaluate", "r", "--split", "dev", *options)

    def epochs(self) -> list[dict[str, Any]]:
        lines = Path("r/metrics.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["type"] == "epoch"]

    def support(self) -> dict[str, int]:
        """Return the support of each label on the dev set."""
        scores = json.loads(self.evaluate("--json").out)
        rows = [row for task in scores.values() for row in task["per_label"].items()]
        return {label: int(row["support"]) for label, row in rows}
