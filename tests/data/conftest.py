from __future__ import annotations

import pytest

from mtl.config.corpus import CorpusConfig
from mtl.data.corpus import load_corpus


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a corpus: reader, split to file, task to label source."""

    def load(reader, files, labels, **others):
        parts = {"head": {"type": "softmax"}, "metric": {"type": "accuracy"}}
        config = CorpusConfig.model_validate(
            {
                "name": "tiny",
                "reader": {"type": "conll"},
                "files": {split: [str(path)] for split, path in files.items()},
                "tasks": {task: {"labels": source, **parts} for task, source in labels.items()},
                **others,
            }
        )
        return load_corpus(config, reader, cache=tmp_path / "cache")

    return load
