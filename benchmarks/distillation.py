"""Compare ways of distillation on questions of TREC: test accuracy, mean and deviation over seeds.

    MTL_DATA=… python benchmarks/distillation.py --seeds 1 2 3

Of the training questions, 500 are labelled. Students read the other questions without their labels:

| row | model |
|---|---|
| scratch | the student: one LSTM layer of 50 units, random weights, gold labels alone |
| teacher | one LSTM layer of 200 units, from the language model `wikitext2` |
| ensemble | the teachers of all seeds together |
| distilled | the student, taught by the ensemble on all questions |
| logits, hard | other losses |
| constant gold | half of the loss of a labelled question is that of its gold label |
| augmentation | two augmented copies of each question besides |
| hidden states | the student also imitates the hidden states of the teachers |
| self-training | taught by the row scratch, whose labels below a probability of 0.8 are ignored |
| one model of snapshots | a student trained in three cycles, at its best epoch |
| snapshots | its models at the end of the cycles together |

A finished run is not trained again. `--rows` selects rows.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from quality import ROOT, finished, train
from side_by_side import table
from studies import cell

import mtl

RUN = "trec"
FEW = [
    "corpora.trec.limit.train=500",
    "training.patience=null",
    "training.average=0.98",
    "training.label_prior=false",
]
SMALL = ["trunk.hidden_size=50", "training.batch.max_tokens=null", "training.batch.sentences=16"]
EPOCHS = 12
HARD = ["distillation.sentences=hard"]
STUDENTS = {
    "distilled": [],
    "logits": ["distillation.sentences=logits"],
    "hard": HARD,
    "constant gold": ["distillation.gold=0.5"],
    "augmentation": ["distillation.augmentation.copies=2"],
    "hidden states": ["distillation.hidden.weight=0.5"],
    "self-training": [*HARD, "distillation.threshold=0.8", "distillation.gold=0.5"],
}
CYCLES = "training.schedule={type: cosine_restarts, cycles: 3}"
ROWS = ["scratch", "teacher", "ensemble", *STUDENTS, "one model of snapshots", "snapshots"]


class Study:
    """The runs of the benchmark.

    Args:
        folder: The folder of the runs.
        seeds: The seeds.
        further: Overrides of all runs.
    """

    def __init__(self, folder: Path, seeds: list[int], further: list[str]) -> None:
        self.folder = folder
        self.seeds = seeds
        self.further = further

    def run(self, row: str, seed: int) -> Path:
        """Return the folder of a row and a seed; train the model if it is not finished."""
        to = self.folder / f"{row.replace(' ', '_')}-{seed}"
        if finished(to):
            return to
        few = [*FEW, f"training.epochs={EPOCHS}", *self.further]
        if row == "teacher":
            train(RUN, seed, to, [*few, "trunk.hidden_size=200", "trunk.init=wikitext2"])
        elif row == "scratch":
            train(RUN, seed, to, [*few, *SMALL])
        elif row == "one model of snapshots":
            train(RUN, seed, to, [*few, *SMALL, "training.average=null", CYCLES])
        elif row == "snapshots":
            self._join([self.run("one model of snapshots", seed)], to)
        else:
            self._distil(row, seed, to, few)
        return to

    def ensemble(self) -> Path:
        """Return the folder of the teachers of all seeds together."""
        to = self.folder / "ensemble"
        if not finished(to):
            self._join([self.run("teacher", seed) for seed in self.seeds], to)
        return to

    def _join(self, runs: list[Path], to: Path) -> None:
        _save(mtl.load(to) if to.is_dir() else mtl.ensemble(runs, output=to, progress=False), to)

    def _distil(self, row: str, seed: int, to: Path, few: list[str]) -> None:
        teacher = self.run("scratch", seed) if row == "self-training" else self.ensemble()
        # An epoch passes over the labelled and all other questions: ten times as many steps.
        epochs = f"training.epochs={max(1, EPOCHS // 4)}"
        model = mtl.distil(
            [teacher],
            ROOT / f"configs/{RUN}.yaml",
            [*few, *SMALL, epochs, f"seed={seed}", *STUDENTS[row]],
            text=[self.text()],
            output=to,
            resume=to.is_dir(),
        )
        assert isinstance(model, mtl.TrainedModel)
        _save(model, to)

    def text(self) -> Path:
        """Write the questions without their labels, one per line."""
        to = self.folder / "questions.txt"
        lines = (Path(os.environ["MTL_DATA"]) / "trec" / "TREC.train").read_text().splitlines()
        to.write_text("".join(line.partition(" ")[2] + "\n" for line in lines))
        return to

    def row(self, row: str) -> list[str]:
        """Return the cells of a row."""
        shared = row == "ensemble"
        folders = [self.ensemble()] if shared else [self.run(row, seed) for seed in self.seeds]
        scores = [json.loads((folder / "scores.json").read_text()) for folder in folders]
        return [row, cell([100 * own["coarse"]["accuracy"] for own in scores]), str(len(scores))]


def _save(model: mtl.TrainedModel, to: Path) -> None:
    (to / "scores.json").write_text(json.dumps(model.evaluate("test").to_dict(), indent=1))


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/distillation"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    study = Study(options.runs, options.seeds, options.set)
    print(table(["", "accuracy", "models"], [study.row(row) for row in options.rows]))


if __name__ == "__main__":
    main()
