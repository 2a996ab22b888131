"""Convert a run folder to a model of the package: half precision, without paths of this machine.

    MTL_DATA=… python scripts/ship_model.py runs/lm_wikitext2 wikitext2
    MTL_DATA=… python scripts/ship_model.py runs/english english --words 60000

The output is mtl/pretrained/NAME, where `trunk.init: NAME` finds it. `--words` keeps the most
frequent words only, in the table of vectors and in the output of the language model. Write the
model card, README.md, by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from mtl.files import atomic_write
from mtl.runs.checkpoint import MODEL, RUN, load_tensors, save_tensors
from mtl.runs.checksums import write_checksums
from mtl.text.vocabulary.base import SPECIAL

ROOT = Path(__file__).resolve().parent.parent
PRETRAINED = ROOT / "mtl" / "pretrained"


def ship(run: Path, to: Path, data: str, words: int | None) -> None:
    """Copy a run folder, with paths relative to the folder of corpora or to the checkout."""
    to.mkdir(parents=True, exist_ok=True)
    text = (run / RUN).read_text(encoding="utf-8")
    for folder in (data.rstrip("/"), str(ROOT)):
        text = text.replace(folder + "/", "")
    settings = yaml.safe_load(text)
    for part in settings["embedding"].values():
        if "vectors" in part:
            part["vectors"] = None  # the model contains them
    tensors = load_tensors(run / MODEL)
    shutil.copytree(run / "vocabulary", to / "vocabulary", dirs_exist_ok=True)
    if words:
        cut_words(words, settings, tensors, to / "vocabulary")
    halves = {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()}
    save_tensors(to / MODEL, halves)
    with atomic_write(to / RUN) as file:
        yaml.safe_dump(settings, file, sort_keys=False, allow_unicode=True)
    write_checksums(to)


def cut_words(
    words: int, settings: dict[str, Any], tensors: dict[str, Tensor], vocabulary: Path
) -> None:
    """Keep the most frequent words; the clusters of adaptive outputs keep their words."""
    path = vocabulary / "words.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    number = len(known["words"]) + len(SPECIAL)
    for name, tensor in tensors.items():
        if len(tensor) == number:
            tensors[name] = tensor[: words + len(SPECIAL)].clone()
    for task in settings["tasks"].values():
        cuts = task["head"].get("cutoffs", []) if isinstance(task["head"], dict) else []
        cuts[:] = [int(cut * number) if cut < 1 else cut for cut in cuts]
    kept = {**known, "words": known["words"][:words]}
    _write(path, kept)
    labels = json.loads((vocabulary / "labels.json").read_text(encoding="utf-8"))
    for target in labels.values():
        if target["type"] == "words":
            target["words"] = kept
    _write(vocabulary / "labels.json", labels)


def _write(path: Path, values: Any) -> None:
    with atomic_write(path) as file:
        json.dump(values, file, ensure_ascii=False)


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("name", help="the name of the model in the package")
    parser.add_argument("--words", type=int, help="the number of words to keep")
    options = parser.parse_args()
    ship(options.run, PRETRAINED / options.name, os.environ["MTL_DATA"], options.words)


if __name__ == "__main__":
    main()
