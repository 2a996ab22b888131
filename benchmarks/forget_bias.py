"""Train taggers of parts of speech with and without the forget bias of their LSTM layers.

    MTL_DATA=… python benchmarks/forget_bias.py --seeds 1 2 3

The runs are two rows of the study `layers`: `lstm`, whose trunk is an LSTM, and one that also reads
characters with an LSTM. The library has no option for the forget bias, which is 1 at the start
(Jozefowicz et al. 2015). The rows without it set it to 0 before training. The table has the
accuracy on the test set at the epoch with the best dev accuracy.
"""

from __future__ import annotations

import argparse

import torch
from quality import ROOT
from studies import STUDIES, cell
from torch import nn

from mtl.experiment import load_config, load_corpora, make_trainer, prepare
from mtl.training.events import Epoch

STUDY = STUDIES["layers"]
ROWS = ("lstm", "characters by lstm")


@torch.no_grad()
def clear_forget_biases(model: nn.Module) -> None:
    """Set the forget biases of all LSTM layers to zero."""
    for module in model.modules():
        if isinstance(module, nn.LSTM):
            for name, bias in module.named_parameters():
                if name.startswith("bias"):
                    bias.chunk(4)[1].zero_()  # input, forget, cell, output


def accuracy(row: str, seed: int, *, bias: bool) -> float:
    """Train a model and return its accuracy on the test set, in per cent."""
    changes = [*STUDY["common"], *STUDY["rows"][row], f"seed={seed}", "training.threads=1"]
    run = load_config(ROOT / f"configs/{STUDY['run']}.yaml", changes)
    corpora = load_corpora(run)
    experiment = prepare(run, corpora)
    if not bias:
        clear_forget_biases(experiment.model)
    trainer = make_trainer(experiment, corpora)
    best = {}
    for event in trainer.run():
        if isinstance(event, Epoch) and event.improved:
            with trainer.averaged():  # the weights that were scored
                best = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    experiment.model.load_state_dict(best)
    return 100 * experiment.evaluate(corpora.values(), "test").scores()["pos"]["accuracy"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    print("|  | forget bias 1 | forget bias 0 |\n| --- | ---: | ---: |")
    for row in ROWS:
        cells = []
        for bias in (True, False):
            values = [accuracy(row, seed, bias=bias) for seed in options.seeds]
            cells.append(cell(values))
        print(f"| {row} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
