"""The keys of a run that starts from pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mtl.errors import CheckpointError
from mtl.files import exists, find_shipped
from mtl.runs.checkpoint import RUN

TRANSFORMER_LR = 0.0005
"""The learning rate of a pretrained transformer, unless one is given."""


def is_run(init: str) -> bool:
    """Return whether a name is a run folder or a model of the package, and not a transformer."""
    folder = find_shipped(Path(init), "pretrained")
    # A folder without a run file and without the configuration of a transformer is a mistake that
    # the check of run folders explains.
    return exists(folder) and not exists(folder / "config.json")


def keys_of_run(init: str) -> dict[str, Any]:
    """Return embedding and trunk of a run folder, with which a new run can start from its weights.

    Raises:
        CheckpointError: It is not a run folder, or its run file is damaged.
    """
    path = find_shipped(Path(init), "pretrained") / RUN
    try:
        run = yaml.safe_load(path.read_text(encoding="utf-8"))
        embedding, trunk = dict(run["embedding"]), dict(run["trunk"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; choose a run folder") from error
    if isinstance(words := embedding.get("words"), Mapping):
        # The vectors come from the run, and each word of the training data gets one.
        embedding["words"] = {**words, "min_count": 1, "vectors": None}
    return {"embedding": embedding, "trunk": {**trunk, "init": init}}


def keys_of_transformer(name: str, lr: float) -> dict[str, Any]:
    """Return the keys of a run that fine-tunes all layers of a pretrained transformer.

    Args:
        name: Its folder, or its name on the hub.
        lr: The learning rate of its last layer.
    """
    return {
        "embedding": {
            "characters": {"type": "cnn", "dim": 30, "filters": 50},
            "affixes": {"dim": 20},
        },
        "trunk": {"type": "transformer", "name": name},
        "training": {
            "max_length": 256,
            "optimizer": {"type": "adamw", "lr": lr, "weight_decay": 0.01},
            "decay_biases": False,
            "schedule": {"type": "linear", "warmup": 10},
            "fine_tuning": {"lr_ratio": 1.2, "head_lr": 0.002},
            "clip_norm": 1.0,
        },
    }
