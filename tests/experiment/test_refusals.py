"""Options that a part rejects or ignores are errors with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.errors import ConfigError
from mtl.experiment import load_config
from tests.training.runs import RUN, corpus

TASKS = {name: {"use": f"c/{name}"} for name in ("pos", "ner", "verb")}
SHARED: dict[str, tuple[dict[str, Any], str]] = {
    "hierarchical": (
        {"order": ["pos", "nerr", "verb"]},
        "sharing.order: unknown task 'nerr'; did you mean 'ner'?",
    ),
    "soft": (
        {"penalty": "clustered", "clusters": [["pos", "ner"], ["verb", "pos"]]},
        "sharing.clusters: 'pos' occurs twice; expected every task once",
    ),
    "shared_private": (
        {"shared_only": ["poss"]},
        "sharing.shared_only: unknown task 'poss'; did you mean 'pos'?",
    ),
    "sluice": (
        {"subspaces": 3},
        "sharing.subspaces: 8 units per direction cannot be divided into 3 equal parts",
    ),
}
"""Sharing to invalid options and their error messages."""


def told(folder: Path, run: dict[str, Any]) -> list[str]:
    """Return the mistakes of a run file, each without its file."""
    path = folder / "run.yaml"
    corpora = {"c": corpus(folder, "c", 22)}
    path.write_text(yaml.safe_dump({**RUN, "corpora": corpora, "tasks": TASKS, **run}))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    return [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()]


def line_of(folder: Path, start: str) -> int:
    lines = (folder / "run.yaml").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.strip().startswith(start))


@pytest.mark.parametrize("name", SHARED)
def test_what_a_sharing_refuses_stands_where_it_was_written(name: str, tmp_path: Path) -> None:
    options, message = SHARED[name]
    (mistake,) = told(tmp_path, {"sharing": {"type": name, **options}})
    place, _, said = mistake.partition(": ")
    assert said == message
    option = message.partition(":")[0].removeprefix("sharing.")
    line = line_of(tmp_path, f"{option}:")
    # A list is where its first item is, a line below in this form of YAML.
    assert place.split(":")[0] in (str(line), str(line + 1))


def test_it_is_told_together_with_other_mistakes(tmp_path: Path) -> None:
    sharing = {"type": "hierarchical", "order": ["pos", "nerr", "verb"]}
    found = told(tmp_path, {"sharing": sharing, "seed": 2**63 - 1, "seeds": 5})
    assert [line.split(": ")[1] for line in found] == ["seeds", "sharing.order"]


def test_what_a_trunk_refuses_is_told_of_the_trunk(tmp_path: Path) -> None:
    (mistake,) = told(tmp_path, {"trunk": {"type": "transformer", "hidden_size": 8}})
    assert mistake.startswith(f"{line_of(tmp_path, 'trunk:') + 1}:")
    assert ": trunk.num_layers: expected a number, or the `name` of a pretrained model" in mistake


def test_a_name_that_is_wrong_does_not_make_groups_wrong_too(tmp_path: Path) -> None:
    sharing = {"type": "shared_private", "adversary": 0.1, "groups": [["pos", "nerr", "verb"]]}
    (mistake,) = told(tmp_path, {"sharing": sharing})
    assert mistake.endswith("sharing.groups: unknown task 'nerr'; did you mean 'ner'?")


IDLE: dict[str, tuple[dict[str, Any], str]] = {
    "within": (
        {"sharing": {"type": "soft", "within": 0.5}},
        "sharing.within: has no effect unless penalty is mean or clustered; leave it out, or set "
        "penalty",
    ),
    "between": (
        {"sharing": {"type": "soft", "penalty": "mean", "between": 0.5}},
        "sharing.between: has no effect unless penalty is clustered; leave it out, "
        "or set penalty",
    ),
    "groups": (
        {"sharing": {"type": "shared_private", "groups": [["pos", "ner", "verb"]]}},
        "sharing.groups: has no effect unless adversary is set; leave it out, or set adversary",
    ),
    "window of a tagger": (
        {"tasks": {"pos": {"use": "c/pos", "head": {"attention": "scaled", "window": 3}}}},
        "tasks.pos.head.window: has no effect unless attention is key_value; leave it out, or set "
        "attention",
    ),
    "window of a classifier": (
        {"tasks": {"verb": {"use": "c/verb", "head": {"window": 3}}}},
        "tasks.verb.head.window: has no effect unless attention is key_value; leave it out, or set "
        "attention",
    ),
    "size": (
        {"tasks": {"x": {"use": "c/verb", "head": {"type": "attention", "score": "additive",
                                                   "size": 9}}}},
        "tasks.x.head.size: has no effect unless score is self; leave it out, or set score",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("run", "message"), IDLE.values(), ids=IDLE)
def test_options_that_would_do_nothing_are_told(
    run: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (mistake,) = told(tmp_path, run)
    assert mistake.endswith(f": {message}")
