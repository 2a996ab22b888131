"""The process of one trial: `python -P -m mtl.tuning.worker`.

Its first line of input is a JSON object with the run, the folder and so on. The input stays open as
long as the search runs: when it ends, the search has ended in any way, and training stops after the
current step. The last line of output is a JSON object with the measured values.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mtl.api import train
from mtl.errors import MtlError, TrainingError
from mtl.experiment import load_corpora
from mtl.runs.lock import FolderLock
from mtl.text.example import Example
from mtl.trained_model import TrainedModel

_PASSES = 3
"""Number of times that the dev set is labelled; the fastest one counts."""
_WARM_UP = 32
"""Sentences that are labelled before the time is taken."""
_WAIT = 60.0
"""Seconds to wait for the process of a killed search, which still trains into the folder."""


def main() -> None:
    """Train the run of the first line of standard input, and print the measured values.

    An error that the user can fix is printed, and ends the process with code 2.
    """
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    folder = Path(order["folder"])
    try:
        _wait_for(folder)
        model = train(
            order["run"], output=folder, resume=True, progress=False, trust=order["trust"]
        )
        assert isinstance(model, TrainedModel)
        measured = {"speed": tokens_per_second(model)} if order["speed"] else {}
    except MtlError as error:
        # The advice of `train` about its folder is not for a trial.
        print(error.__cause__ if isinstance(error, TrainingError) else error, file=sys.stderr)
        sys.exit(2)
    print(f"\n{json.dumps(measured)}", flush=True)


def _end_with_input() -> None:
    # The file itself: a thread that holds the lock of `sys.stdin` would disturb the end of Python.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for(folder: Path) -> None:
    """Wait until no other process trains into a folder; later, training raises the error."""
    end = time.monotonic() + _WAIT
    while folder.exists() and time.monotonic() < end:
        try:
            with FolderLock(folder, lambda note: None):
                return
        except MtlError:
            time.sleep(0.1)


def tokens_per_second(model: TrainedModel) -> float:
    """Return the number of tokens of the dev sets that a model labels per second, with all tasks.

    Raises:
        MtlError: There is no dev set, or a task has no labels to predict.
    """
    corpora = load_corpora(model.run, model.experiment.subwords)
    tokens, seconds = 0, 0.0
    for name, corpus in corpora.items():
        if "dev" not in corpus.splits:
            continue
        tasks = [task for task, own in model.run.tasks.items() if own.corpus == name]
        examples = list(corpus.splits["dev"])
        texts = [_input(example) for example in examples]
        model.predict(texts[:_WARM_UP], tasks)
        passes = []
        for _ in range(_PASSES):
            began = time.perf_counter()
            model.predict(texts, tasks)
            passes.append(time.perf_counter() - began)
        tokens += sum(map(len, examples))
        seconds += min(passes)
    return tokens / max(seconds, 1e-9)


def _input(example: Example) -> Any:
    return example.tokens if example.second is None else example.texts


if __name__ == "__main__":
    main()
