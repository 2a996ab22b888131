"""Convert a run folder to a model of the package: half precision, without paths of this machine.

    MTL_DATA=… python scripts/ship_model.py runs/lm_wikitext2 wikitext2

The output is mtl/pretrained/NAME, where `trunk.init: NAME` finds it. Write the model card,
README.md, by hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import torch

from mtl.files import atomic_write
from mtl.runs.checkpoint import MODEL, RUN, load_tensors, save_tensors
from mtl.runs.checksums import write_checksums

PRETRAINED = Path(__file__).resolve().parent.parent / "mtl" / "pretrained"


def ship(run: Path, to: Path, data: str) -> None:
    """Copy a run folder, with paths relative to the folder of corpora."""
    to.mkdir(parents=True, exist_ok=True)
    tensors = load_tensors(run / MODEL)
    halves = {n: t.half() if t.dtype == torch.float32 else t for n, t in tensors.items()}
    save_tensors(to / MODEL, halves)
    shutil.copytree(run / "vocabulary", to / "vocabulary", dirs_exist_ok=True)
    text = (run / RUN).read_text(encoding="utf-8").replace(data.rstrip("/") + "/", "")
    with atomic_write(to / RUN) as file:
        file.write(text)
    write_checksums(to)


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("name", help="the name of the model in the package")
    options = parser.parse_args()
    ship(options.run, PRETRAINED / options.name, os.environ["MTL_DATA"])


if __name__ == "__main__":
    main()
