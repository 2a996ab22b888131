"""Compare ways to train one main task beside auxiliary tasks on the same sentences.

    MTL_DATA=… python benchmarks/columns.py --seeds 1 2 3

The main task is entities (UNER), the auxiliary tasks are universal and Penn parts of speech (EWT).
They are columns of one file, which this script joins from both corpora. `--size` sentences are
labelled. A finished run is not trained again. The table has scores in per cent at the chosen epoch,
mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import yaml
from quality import epochs, finished, train
from side_by_side import table
from studies import cell

from mtl.data.readers.conll import Conll
from mtl.data.readers.conllu import Conllu

MAIN, AUXILIARY = "ner", ["pos", "xpos"]
ROWS: dict[str, list[str]] = {
    "entities alone": [f"tasks.{task}=null" for task in AUXILIARY],
    "all": [],
    "all, uncertainty": ["weighting.type=uncertainty"],
    "all, weights 0.3": [f"tasks.{task}.weight=0.3" for task in AUXILIARY],
    "all, weights 0.1": [f"tasks.{task}.weight=0.1" for task in AUXILIARY],
}
CORPUS: dict[str, Any] = {
    "reader": {
        "type": "conll",
        "columns": ["tokens", "pos", "xpos", "ner"],
        "separator": "\t",
        "comments": False,
    },
    "files": {split: f"{split}.conll" for split in ("train", "dev", "test")},
    "tasks": {
        "ner": {
            "labels": "ner",
            "scheme": "bio",
            "head": {"type": "crf", "scheme": "iobes"},
            "metric": "span_f1",
        },
        "pos": {"labels": "pos", "head": {"type": "softmax"}, "metric": "accuracy"},
        "xpos": {"labels": "xpos", "head": {"type": "softmax"}, "metric": "accuracy"},
    },
}


def run_file(folder: Path, size: int) -> Path:
    """Write the joined corpus and the run file, if they are not there yet; return the run file."""
    path = folder / "columns.yaml"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    for split, suffix in (("train", ".gz"), ("dev", ""), ("test", "")):
        data = Path(os.environ["MTL_DATA"])
        reader = Conll(columns={"tokens": 1, "labels": 2})
        entities = {
            record.metadata["sent_id"]: record
            for record in reader.read(data / f"uner_english_ewt/en_ewt-ud-{split}.iob2")
        }
        with (folder / f"{split}.conll").open("w", encoding="utf-8") as file:
            for record in Conllu().read(data / f"ud_english_ewt/en_ewt-ud-{split}.conllu{suffix}"):
                other = entities.get(record.metadata["sent_id"])
                # The two corpora are of different versions, and a few sentences differ.
                if other and list(other.tokens) == list(record.tokens):
                    tags = other.columns["labels"]
                    columns = record.columns
                    rows = zip(record.tokens, columns["upos"], columns["xpos"], tags, strict=True)
                    file.writelines("\t".join(map(str, row)) + "\n" for row in rows)
                    file.write("\n")
    run = {
        "extends": "base/lstm.yaml",
        "trunk": {"type": "qrnn", "window": 2},
        "corpora": {"ewt": {**CORPUS, "limit": {"train": size}}},
        "tasks": {task: {"use": f"ewt/{task}"} for task in (MAIN, *AUXILIARY)},
        "training": {"label_prior": False, "epochs": 12, "patience": None, "threads": 1},
    }
    path.write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
    return path


def row_of(row: str, folders: list[Path]) -> list[str]:
    """Return the cells of a row: dev score of the main task, test scores of all, and the seeds."""
    dev, test = [], []
    for folder in folders:
        best = [epoch for epoch in epochs(folder) if epoch["improved"]][-1]
        dev.append(100 * next(iter(best["dev"][MAIN].values())))
        scores = json.loads((folder / "scores.json").read_text())
        test.append({task: 100 * next(iter(own.values())) for task, own in scores.items()})
    columns = [[own[task] for own in test if task in own] for task in (MAIN, *AUXILIARY)]
    cells = [cell(values) if values else "" for values in (dev, *columns)]
    return [row, *cells, str(len(folders))]


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=3000, help="labelled sentences")
    parser.add_argument(
        "--rows", nargs="*", choices=ROWS, default=list(ROWS), help="empty: only write the run file"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/columns"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    run = run_file(options.runs / str(options.size), options.size)
    found = []
    for row in options.rows:
        folders = [run.parent / f"{row.replace(', ', '_')}-{seed}" for seed in options.seeds]
        for folder, seed in zip(folders, options.seeds, strict=True):
            if not finished(folder):
                train(run, seed, folder, [*ROWS[row], *options.set])
        found.append(row_of(row, folders))
    head = ["", f"{MAIN}, dev", *(f"{task}, test" for task in (MAIN, *AUXILIARY)), "seeds"]
    print(table(head, found))


if __name__ == "__main__":
    main()
