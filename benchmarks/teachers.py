"""Compare ways to a better model from the same few labels: scores, speed and training time.

    MTL_DATA=… python benchmarks/teachers.py --size 500 --seeds 1 2 3

Parts of speech and entities of EWT, of which only `--size` sentences are labelled; the teachers
also read `--text` further sentences without their labels. A finished run is not trained again. Each
row is the mean over the seeds, except the ensemble, which joins the models of all seeds:

| row | model |
|---|---|
| scratch | one QRNN layer, random weights |
| vectors | the same, with word vectors of MiniLM (`mtl vectors`) |
| wikitext2 | one LSTM layer, from the language model `wikitext2` |
| english | one QRNN layer, from the model `english` |
| ensemble | the models of the row `english` together (`mtl ensemble`) |
| teacher | MiniLM, fine-tuned on the same sentences |
| distilled | the model of the row `english`, taught by the ensemble (`mtl distil`) |
| distilled, MiniLM | the same, taught by the ensemble and by the row `teacher` |

The vectors and the teacher need the extra `transformers` and MiniLM; see
configs/base/minilm.yaml. `--rows` selects rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, median

from quality import ROOT, epochs, finished, train
from side_by_side import table
from transfer import overrides

import mtl
from mtl.data.readers.conllu import Conllu

RUN = "ewt_pos_ner"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
QRNN = ["trunk={type: qrnn, window: 2}"]
TEACHER = [
    "training.epochs=12",
    "training.batch={sentences: 8}",
    "training.optimizer.lr=0.0002",
    "training.precision=bf16",
]
ROUNDS = 5
"""Measurements of the speed; the table has the median."""


class Study:
    """The runs of one size.

    Args:
        options: The arguments of the command.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.size: int = options.size
        self.seeds: list[int] = options.seeds
        self.folder: Path = options.runs / str(options.size)
        self.text_sentences: int = options.text
        self.further: list[str] = options.set

    def run_folder(self, row: str, seed: int) -> Path:
        """Return the folder of a run."""
        return self.folder / f"{row.replace(', ', '_')}-{seed}"

    def learn(self, row: str, seed: int) -> None:
        """Train the run of a row, if it is not finished."""
        to = self.run_folder(row, seed)
        if finished(to):
            return
        few = overrides(RUN, self.size)
        if row == "scratch":
            train(RUN, seed, to, [*few, *QRNN, *self.further])
        elif row == "vectors":
            train(RUN, seed, to, [*few, *QRNN, *self.vectors(), *self.further])
        elif row == "wikitext2":
            train(RUN, seed, to, [*few, "trunk.init=wikitext2", *self.further])
        elif row == "english":
            train(RUN, seed, to, [*few, *QRNN, "trunk.init=english", *self.further])
        elif row == "teacher":
            limits = [change for change in few if change.startswith("corpora.")]
            train("ewt_pos_ner_minilm", seed, to, [*limits, *TEACHER, *self.further])
        else:
            self.distil(row, seed, to)

    def vectors(self) -> list[str]:
        """Make vectors of MiniLM for the words of WikiText-2; return the overrides for them."""
        path = (self.folder / "minilm.safetensors").absolute()
        if not path.is_file():
            text = Path(os.environ["MTL_DATA"]) / "wikitext-2" / "wiki.train.tokens"
            options = ["--text", text, "--min-count", 3, "--dim", 100, "--output", path]
            _mtl("vectors", "static", MINILM, *options)
        return [f"embedding.words.vectors={path}"]

    def ensemble(self) -> Path:
        """Join the models that started from `english`."""
        to = self.folder / "ensemble"
        if not to.is_dir():
            _mtl(
                "ensemble",
                *(self.run_folder("english", seed) for seed in self.seeds),
                "--output",
                to,
            )
        if not finished(to):
            scores = _mtl("evaluate", to, "--json")
            (to / "scores.json").write_text(scores)
        return to

    def distil(self, row: str, seed: int, to: Path) -> None:
        """Train the student of a seed."""
        few = [*overrides(RUN, self.size), *QRNN, "trunk.init=english", f"seed={seed}"]
        # An epoch is a pass over labelled and unlabelled sentences.
        few += ["training.epochs=8", "training.batch.sentences=16", *self.further]
        teachers = [self.ensemble()]
        if row != "distilled":
            teachers.append(self.run_folder("teacher", self.seeds[0]))
        run = ROOT / f"configs/{RUN}.yaml"
        resume = ["--resume"] if to.is_dir() else []
        _mtl("distil", *teachers, run, *few, "--text", self.text(), "--output", to, *resume)
        (to / "scores.json").write_text(_mtl("evaluate", to, "--json"))

    def text(self) -> Path:
        """Write the sentences that are read without their labels, one per line."""
        to = self.folder / "unlabelled.txt"
        if not to.is_file():
            chosen = sentences("train.conllu.gz")[-self.text_sentences :]
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text("".join(" ".join(words) + "\n" for words in chosen))
        return to

    def row(self, row: str) -> list[str]:
        """Return the cells of a row."""
        if row == "ensemble":
            folders = [self.ensemble()]
        else:
            folders = [self.run_folder(row, seed) for seed in self.seeds]
        scores = [json.loads((folder / "scores.json").read_text()) for folder in folders]
        cells = []
        for task in ("pos", "ner"):
            found = [100 * next(iter(own[task].values())) for own in scores]
            spread = f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else ""
            cells.append(f"{mean(found):.2f}{spread}")
        minutes = [sum(e["seconds"] for e in epochs(f)) / 60 for f in folders if row != "ensemble"]
        return [
            row,
            *cells,
            f"{speed(folders[0]):,.0f}",
            f"{mean(minutes):.1f}" if minutes else "–",
        ]


def sentences(split: str) -> list[list[str]]:
    """Return the words of the sentences of a split of EWT."""
    path = Path(os.environ["MTL_DATA"]) / "ud_english_ewt" / f"en_ewt-ud-{split}"
    return [list(record.tokens) for record in Conllu().read(path)]


def speed(folder: Path) -> float:
    """Return the tokens that a model labels per second of processor time, on the dev sentences."""
    model = mtl.load(folder)
    texts = sentences("dev.conllu")
    tokens = sum(map(len, texts))
    model.predict(texts)
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        model.predict(texts)
        found.append(tokens / (time.process_time() - began))
    return median(found)


def _mtl(*arguments: object) -> str:
    command = [sys.executable, "-m", "mtl.cli.main", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Train the missing runs and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    every = ["scratch", "vectors", "wikitext2", "english", "ensemble", "teacher"]
    every += ["distilled", "distilled, MiniLM"]
    parser.add_argument("--rows", nargs="+", choices=every, default=every)
    parser.add_argument("--size", type=int, default=500, help="labelled sentences")
    parser.add_argument("--text", type=int, default=4000, help="unlabelled sentences")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/teachers"), help="run folders")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides")
    options = parser.parse_args()
    study = Study(options)
    for row in options.rows:
        for seed in options.seeds if row != "ensemble" else []:
            study.learn(row, seed)
    head = ["", "pos, accuracy", "ner, span F1", "tokens/s", "minutes of training"]
    print(table(head, [study.row(row) for row in options.rows]))


if __name__ == "__main__":
    main()
