"""Size of the page of `mtl report --html` for three runs, and the time to open it in Chromium.

    MTL_DATA=… python benchmarks/report_page.py runs/for-the-report

Trains three small runs on 500 sentences of EWT (parts of speech and entities), one of them with two
seeds, unless the folder has them already. Goals: at most 1.5 MB, at most 1 s from the start of the
navigation to the end of the load event, and no message in the console.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mtl  # noqa: E402
from mtl.analysis.report.page import report_page  # noqa: E402
from tests.pages.browser import chromium, missing  # noqa: E402

LIMIT = {"train": 500, "dev": 400, "test": 200}
CONFIG = {
    "extends": str(ROOT / "configs" / "ewt_pos_ner.yaml"),
    "embedding": {"words": {"dim": 30, "min_count": 1}, "characters": {"filters": 20}},
    "trunk": {"hidden_size": 40},
    "corpora": {"ewt": {"limit": LIMIT}, "uner": {"limit": LIMIT}},
    "training": {
        "epochs": 25,
        "batch": {"max_tokens": 250},
        "optimizer": {"type": "adam", "lr": 0.006},
        "schedule": {"warmup": 10},
        "average": None,
    },
}
RUNS = {
    "cross_stitch": {"sharing": "cross_stitch", "seeds": 2},
    "hard": {"sharing": "hard"},
    "sluice": {"sharing": "sluice", "weighting": "uncertainty"},
}
TIMING = """
const [entry] = performance.getEntriesByType("navigation");
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return [entry.loadEventEnd, paint ? paint.startTime : NaN, document.querySelectorAll("*").length];
"""


def main() -> None:
    """Print size, time and messages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of the runs")
    parser.add_argument("--repeats", type=int, default=7, help="how often the page is opened")
    arguments = parser.parse_args()
    for name, overrides in RUNS.items():
        if not (arguments.folder / name).exists():
            mtl.train(CONFIG, overrides, output=arguments.folder / name)
    folders = [arguments.folder / name for name in RUNS]
    began = time.perf_counter()
    page = report_page(folders, list(RUNS), ["pos", "ner"])
    print(f"made in {time.perf_counter() - began:.1f} s, with predictions of the dev set")
    path = arguments.folder / "report.html"
    path.write_text(page.text, encoding="utf-8")
    print(f"size: {path.stat().st_size / 1e6:.2f} MB (goal: at most 1.5)")
    if reason := missing():
        print(f"not opened: {reason}")
        return
    loaded, painted, messages = [], [], []
    with chromium() as browser:
        for _ in range(arguments.repeats):
            browser.open(path)
            messages += browser.console()
            load, paint, elements = browser.run(TIMING)
            loaded.append(load)
            painted.append(paint)
    print(f"elements: {elements:,}")
    for name, values in {"loaded": loaded, "first paint": painted}.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{name}: {middle:.0f} ms ({low:.0f}–{high:.0f}; goal: at most 1000)")
    print(f"messages of the console: {len(messages)} (goal: 0)")


if __name__ == "__main__":
    main()
