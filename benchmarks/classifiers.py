"""Distil a fine-tuned MiniLM into small classifiers: scores, speed and training time.

    MTL_DATA=… python benchmarks/classifiers.py --seeds 1 2 3 -- sst2 trec subj

A finished run is not trained again. Each row is the mean over the seeds; all students have the
teacher of the first seed:

| row | model |
|---|---|
| english | one QRNN layer, from the model `english` |
| teacher | MiniLM, fine-tuned on the same sentences (configs/base/minilm.yaml); first seed only |
| distilled | the model of the row `english`, taught by the teacher on its training sentences |
| distilled, copies | taught on eight augmented copies of each sentence, too |
| distilled, phrases | taught on the phrases of its training sentences, too; `sst2` only |

The phrases are those of `sst2_phrases` without their labels. The teacher needs the extra
`transformers` and MiniLM; see configs/base/minilm.yaml. `--rows` selects rows.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path
from statistics import mean

from quality import ROOT, epochs, finished, tasks, train
from side_by_side import table
from studies import cell
from teachers import QRNN, speed

import mtl

STUDENT = [*QRNN, "trunk.hidden_size=200", "trunk.init=english", "training.patience=null"]
BATCHES = ["training.batch.max_tokens=null", "training.batch.sentences=32"]
TEACHER = ["training.precision=bf16"]
EXTRA = {
    "distilled": ["training.epochs=15"],
    "distilled, copies": ["training.epochs=4", "distillation.augmentation.copies=8"],
    "distilled, phrases": ["training.epochs=4"],
}
ROWS = ["english", "teacher", *EXTRA]


class Study:
    """The runs of one run file.

    Args:
        run: The name of a run in configs/ with one classifier.
        options: The arguments of the command.
    """

    def __init__(self, run: str, options: argparse.Namespace) -> None:
        self.run = run
        (self.task,) = tasks(run)
        self.seeds: list[int] = options.seeds
        self.folder: Path = options.runs / run
        self.further: list[str] = options.set

    def folder_of(self, row: str, seed: int) -> Path:
        """Return the folder of a model; train it if it is not finished."""
        to = self.folder / f"{row.replace(', ', '_')}-{seed}"
        if finished(to):
            return to
        if row == "teacher":
            train(self._teacher(), seed, to, [*TEACHER, *self.further])
        elif row == "english":
            train(self.run, seed, to, [*STUDENT, "training.epochs=5", *self.further])
        else:
            self._distil(row, seed, to)
        return to

    def _teacher(self) -> Path:
        """Write the run file of the teacher."""
        self.folder.mkdir(parents=True, exist_ok=True)
        bases = ", ".join(str(ROOT / f"configs/{name}.yaml") for name in (self.run, "base/minilm"))
        path = self.folder / "teacher.yaml"
        head = "head: {type: attention}"
        path.write_text(f"extends: [{bases}]\ntasks: {{{self.task}: {{{head}}}}}\n")
        return path

    def _distil(self, row: str, seed: int, to: Path) -> None:
        changes = [*STUDENT, *BATCHES, f"seed={seed}", *EXTRA[row], *self.further]
        model = mtl.distil(
            [self.folder_of("teacher", self.seeds[0])],
            ROOT / f"configs/{self.run}.yaml",
            changes,
            text=[self._phrases()] if row == "distilled, phrases" else [],
            output=to,
            resume=to.is_dir(),
        )
        assert isinstance(model, mtl.TrainedModel)
        (to / "scores.json").write_text(json.dumps(model.evaluate("test").to_dict(), indent=1))

    def _phrases(self) -> Path:
        """Write the phrases of SST-2 without their labels, each one once."""
        to = self.folder / "phrases.txt"
        if not to.is_file():
            path = Path(os.environ["MTL_DATA"]) / "sst2_phrases" / "phrases.train.gz"
            lines = gzip.decompress(path.read_bytes()).decode().splitlines()
            phrases = dict.fromkeys(line.partition(" ")[2] for line in lines)
            to.write_text("".join(f"{phrase}\n" for phrase in phrases if " " in phrase))
        return to

    def row(self, row: str) -> list[str]:
        """Return the cells of a row."""
        seeds = self.seeds[:1] if row == "teacher" else self.seeds
        folders = [self.folder_of(row, seed) for seed in seeds]
        scores = [json.loads((own / "scores.json").read_text())[self.task] for own in folders]
        test = [100 * next(iter(own.values())) for own in scores]
        dev = [100 * max(epoch["score"] for epoch in epochs(own)) for own in folders]
        minutes = [sum(epoch["seconds"] for epoch in epochs(own)) / 60 for own in folders]
        cells = [cell(test), cell(dev), f"{speed(folders[0]):,.0f}", f"{mean(minutes):.1f}"]
        return [self.run, row, *cells, str(len(folders))]


def main() -> None:
    """Train the missing models and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="+", help="names of runs in configs/ with one classifier")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/classifiers"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    head = ["run", "model", "test", "dev", "tokens/s", "minutes of training", "models"]
    rows = []
    for run in options.names:
        study = Study(run, options)
        own = [row for row in options.rows if run == "sst2" or row != "distilled, phrases"]
        rows += [study.row(row) for row in own]
    print(table(head, rows))


if __name__ == "__main__":
    main()
