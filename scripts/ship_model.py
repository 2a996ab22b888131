"""Make of a run folder one that comes with the package: half precision, no paths of a machine.

    MTL_DATA=… python scripts/ship_model.py runs/lm_wikitext2 wikitext2

It is written to mtl/pretrained/NAME, where `trunk.init: NAME` finds it. The model card, README.md,
is written by hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import torch

from mtl.files import atomic_write
from mtl.runs.checkpoint import MODEL, RUN, load_tensors, save_tensors

PRETRAINED = Path(__file__).resolve().parent.parent / "mtl" / "pretrained"


def ship(run: Path, to: Path, data: str) -> None:
    """Write a run folder anew, its paths as they are in the folder of the corpora."""
    to.mkdir(parents=True, exist_ok=True)
    tensors = load_tensors(run / MODEL)
    halves = {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()}
    save_tensors(to / MODEL, halves)
    shutil.copytree(run / "vocabulary", to / "vocabulary", dirs_exist_ok=True)
    text = (run / RUN).read_text(encoding="utf-8").replace(data.rstrip("/") + "/", "")
    with atomic_write(to / RUN) as file:
        file.write(text)


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("name", help="what it is called in the package")
    options = parser.parse_args()
    ship(options.run, PRETRAINED / options.name, os.environ["MTL_DATA"])


if __name__ == "__main__":
    main()
