"""Decode one trained softmax tagger in several ways: token by token, by the scheme, by rules.

    MTL_DATA=… python benchmarks/decoders.py RUN chunk --rules '[{"labels": "PRT", "after": "VP"}]'

The weights stay the same, so that the scores on the test set differ by the decoder only.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import mtl
from mtl.heads import ConstrainedTagger


def main() -> None:
    """Print the scores, and the processor time of each evaluation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("task")
    parser.add_argument("--rules", type=json.loads, required=True)
    options = parser.parse_args()
    model = mtl.load(options.run, device="cpu")
    heads = model.experiment.model.heads
    softmax, scheme = heads[options.task], model.experiment.targets[options.task].scheme

    def score(name: str) -> None:
        start = time.process_time()
        found = next(iter(model.evaluate("test").scores()[options.task].values()))
        print(f"{name}: {100 * found:.2f}, {time.process_time() - start:.2f} s")

    score("softmax")
    for name, rules in {"scheme": (), "scheme and rules": options.rules}.items():
        head = ConstrainedTagger(softmax.in_features, softmax.labels, scheme=scheme, rules=rules)
        head.load_state_dict(softmax.state_dict())
        heads[options.task] = head.eval()
        score(name)


if __name__ == "__main__":
    main()
