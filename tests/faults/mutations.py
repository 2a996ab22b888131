"""Damaged files, many of them in one process: each is an error that a user can read, or harmless.

Each function prints one line of JSON per case.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tests.faults.damage import change, changed, damaged

SENTENCES = ["Ann Smith saw New Rome .", "Bob 漢字 left", "This is great food ."]
NUMBER = 25
"""The number of cases of a call."""


def tell(case: Callable[[], str | None]) -> None:
    """Print the outcome of a case, which returns the message of an error that a user can read."""
    began, error, refused = time.process_time(), "", None
    try:
        refused = case()
    except BaseException:
        error = traceback.format_exc()
    seconds = time.process_time() - began
    line = {"refused": refused, "error": error, "seconds": seconds}
    print(json.dumps(line), flush=True)


def damage_file(path: Path, rng: random.Random) -> None:
    """Damage a file, or remove it."""
    content = path.read_bytes()
    if rng.random() < 0.05 or not content:
        path.unlink()
    else:
        path.write_bytes(damaged(content, rng))


def load_folders(seed: int, folder: str) -> None:
    """Load run folders with a damaged file; their labels never change."""
    import mtl
    from mtl.errors import MtlError

    rng = random.Random(seed)
    expected = mtl.load(folder, device="cpu").predict(SENTENCES)

    def case() -> str | None:
        copy = Path("runs/copy")
        shutil.copytree(folder, copy)
        try:
            names = sorted(p for p in copy.rglob("*") if p.is_file() and "checkpoint" not in str(p))
            damage_file(rng.choice(names), rng)
            assert mtl.load(copy, device="cpu").predict(SENTENCES) == expected
        except MtlError as error:
            return str(error)
        finally:
            shutil.rmtree(copy)
        return None

    for _ in range(NUMBER):
        tell(case)


def load_bundles(seed: int, bundle: str) -> None:
    """Load damaged bundles; their labels never change."""
    import mtl_runtime

    rng = random.Random(seed)
    expected = mtl_runtime.load(bundle).predict(SENTENCES)
    content = Path(bundle).read_bytes()
    path = Path("runs/damaged.mtl")

    def case() -> str | None:
        path.write_bytes(damaged(content, rng))
        try:
            assert mtl_runtime.load(path).predict(SENTENCES) == expected
        except mtl_runtime.BundleError as error:
            return str(error)
        return None

    for _ in range(NUMBER):
        tell(case)


def check_configurations(seed: int, text: str) -> None:
    """Check run files with changed values or changed text."""
    from tests.faults.test_command_fuzz import KEYS, RUN, TABLE, VALUES

    rng = random.Random(seed)
    folder = Path("runs/checked")
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").write_text(TABLE, encoding="utf-8")
    path = folder / "run.yaml"

    def case() -> str | None:
        if rng.random() < 0.5:
            path.write_text(yaml.safe_dump(changed(RUN, VALUES, KEYS, rng)), encoding="utf-8")
        else:
            content = change(yaml.safe_dump(RUN).encode(), rng)
            path.write_bytes(content.replace(b"9999", b"9"))  # no model of that size
        return _checked(path)

    for _ in range(NUMBER):
        tell(case)


def read_data(seed: int, folder: str) -> None:
    """Check a run whose data files are changed."""
    rng = random.Random(seed)
    copy = Path("runs/changed")

    def case() -> str | None:
        shutil.copytree(folder, copy, ignore=lambda *_: ["runs"])
        try:
            path = rng.choice(sorted((copy / "data").iterdir()))
            path.write_bytes(change(path.read_bytes(), rng))
            return _checked(copy / "run.yaml")
        finally:
            shutil.rmtree(copy)

    for _ in range(NUMBER):
        tell(case)


def _checked(path: Path) -> str | None:
    from tests.cli.command import mtl

    result = mtl("check", str(path))
    assert "Traceback" not in result.err, result
    assert result.code in (0, 2), result
    assert result.code == 0 or "error:" in result.err.lower(), result
    return result.err if result.code else None


def use_by_threads_and_forks(seed: int, folder: str) -> None:
    """Label sentences in threads and in forked processes, which use one model at once."""
    import mtl

    model = mtl.load(folder, device="cpu")
    rng = random.Random(seed)
    texts = [rng.choices(SENTENCES, k=rng.randint(1, 40)) for _ in range(8)]
    expected = [model.predict(text) for text in texts]

    def in_threads() -> str | None:
        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(model.predict, texts)] == expected
        return None

    def in_forks() -> str | None:
        children = []
        for text, labels in zip(texts[:3], expected, strict=False):
            if not (child := os.fork()):
                code = 1
                try:
                    code = int(model.predict(text) != labels)
                finally:
                    os._exit(code)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        return None

    tell(in_forks)
    tell(in_threads)
    tell(in_forks)  # after threads have used the model
