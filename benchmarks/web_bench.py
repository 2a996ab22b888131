"""Compare the runtime for browsers, run by Node.js, with the runtime for Python, on one bundle.

Both label the raw texts of the test set of EWT with parts of speech and entities. Each program runs
in its own process with one thread of its own; times are processor time, which includes the threads
of Node.js that compile and collect garbage. Programs take turns. Needs Node.js, Emscripten and the
corpus in the folder $MTL_DATA, and is left out where one of them is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from side_by_side import EWT_TEST, ROOT, conditions, ewt_test_texts, report, table

RUNTIME = ROOT / "runtime"
WORKER = Path(__file__).with_name("web_worker.mjs")
SENTENCE = (
    "Ann Smith flew from New York to Geneva on Monday to meet friends, and she will be back ."
)
PASSES = 5
"""Passes over the texts after the first one."""
SINGLE = 200
"""Times that the one sentence is labelled."""


def measured(model: str, texts: Sequence[str]) -> dict[str, float]:
    """Return processor times in seconds of the runtime for Python, and the number of words."""
    began = time.process_time()
    sys.path.insert(0, str(RUNTIME))
    import mtl_runtime

    found = mtl_runtime.load(model)
    loaded = time.process_time() - began

    def seconds(work: Callable[[], Any]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    first = seconds(lambda: found.predict(texts))
    later = median(seconds(lambda: found.predict(texts)) for _ in range(PASSES))
    single = seconds(lambda: [found.predict([SENTENCE]) for _ in range(SINGLE)]) / SINGLE
    words = sum(len(prediction.tokens) for prediction in found.annotate(texts))
    return {"load": loaded, "first": first, "later": later, "single": single, "words": words}


def run(command: Sequence[str], given: Mapping[str, Any], isa: str) -> dict[str, float]:
    """Return the measurements that a program prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MTL_ISA": isa}
    done = subprocess.run(
        command,
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="processes per program")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        given = json.load(sys.stdin)
        print(json.dumps(measured(given["model"], given["texts"])))
        return
    missing = [name for name in ("node", "emcc") if not shutil.which(name)]
    if not EWT_TEST.is_file():
        missing.append("ud_english_ewt under $MTL_DATA")
    if missing:
        print(f"web_bench: left out, needs {', '.join(missing)}")
        return
    subprocess.run(
        [sys.executable, RUNTIME / "web" / "build.py"], check=True, stdout=subprocess.DEVNULL
    )
    python = [sys.executable, __file__, "--worker"]
    programs = {
        "Python": (python, "avx512"),
        "Python, vectors of 16 bytes": (python, "base"),
        "Node.js": (["node", str(WORKER)], ""),
    }
    with tempfile.TemporaryDirectory() as folder:
        import mtl

        model = Path(folder, "model.mtl")
        mtl.load("english", device="cpu").save_bundle(model)
        given = {
            "model": str(model),
            "texts": ewt_test_texts(),
            "sentence": SENTENCE,
            "passes": PASSES,
            "single": SINGLE,
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for name, (command, isa) in programs.items():
                found[name].append(run(command, given, isa))
    rows = []
    for name, rounds in found.items():
        middle = {key: median(own[key] for own in rounds) for key in rounds[0]}
        rows.append(
            [
                name,
                f"{middle['words'] / middle['later']:,.0f}",
                f"{middle['words'] / middle['first']:,.0f}",
                f"{1000 * middle['single']:.2f}",
                f"{middle['load']:.2f}",
            ]
        )
    head = ["", "tokens/s", "first pass, tokens/s", "one sentence of 20 tokens, ms", "load, s"]
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    sizes = sum(path.stat().st_size for path in (RUNTIME / "web").glob("*.js"))
    compiled = (RUNTIME / "web" / "mtl.wasm").stat().st_size
    report(
        "web",
        f"# The runtime for browsers beside the one for Python\n\n{table(head, rows)}\n\n"
        f"Medians of {options.rounds} processes per program, in turn, with the pretrained model "
        "`english`.\nThe first pass computes the vectors of all words; in the column before, they "
        f"are known.\n\n- Node.js {version.stdout.strip()}; mtl.wasm {compiled:,} bytes, "
        f"JavaScript {sizes:,} bytes\n{conditions(['mtl', 'numpy'])}",
    )


if __name__ == "__main__":
    main()
