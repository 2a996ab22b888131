"""Runs on every format of data, also packed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.command import mtl

RUN = "embedding: {words: {dim: 8}}\ntrunk: {type: lstm, num_layers: 1, hidden_size: 8}\n"
TAGGER = "head: {type: softmax}, metric: accuracy"
CLASSIFIER = "head: {type: pool}, metric: accuracy"

CONLLU = """\
# sent_id = letters-{i}
1-2\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
1\tca\tcan\tAUX\tMD\tNumber=Sing\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\tSpaceAfter=No
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

"""
FORMATS = {
    "csv": ("csv", "text,mood\n" + '"Good, old ""food""",glad\nbad,sad\n' * 10, "mood"),
    "tsv": ("tsv", "text\tmood\n" + "good food\tglad\nbad food\tsad\n" * 10, "mood"),
    "jsonl": ("jsonl", '{"text": "good", "mood": "glad"}\n{"text": "bad"}\n' * 10, "mood"),
    "lines": ("lines", "glad good food\nsad bad food\n" * 10, "label"),
    "conll": ("{type: conll, columns: [tokens, mood]}", "good A\nfood B\n\n" * 10, "mood"),
    "conllu": ("conllu", CONLLU * 10, "upos"),
    "feature": ("conllu", CONLLU * 10, "{feature: Number}"),
    "genre": ("conllu", CONLLU * 10, "{metadata: sent_id, pattern: '^([a-z]+)-'}"),
}
TOKENS = {"conll", "conllu", "feature"}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_trains_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, packed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    reader, text, labels = FORMATS[name]
    file = f"data.{name}" + ".gz" * packed
    Path(file).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    parts = TAGGER if name in TOKENS else CLASSIFIER
    corpus = f"{{reader: {reader}, files: {{train: {file}}}, splits: {{dev: 20%, test: 20%}}, "
    corpus += f"tasks: {{it: {{labels: {labels}, {parts}}}}}}}"
    Path("run.yaml").write_text(
        f"{RUN}corpora: {{own: {corpus}}}\ntasks: {{it: {{use: own/it}}}}\n"
    )
    result = mtl("train", "run.yaml", "training.epochs=1")
    assert result.code == 0, result.err
    assert "accuracy" in json.loads(mtl("evaluate", "runs/run", "--json").out)["it"]
