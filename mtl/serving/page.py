"""The page of a server, on which people try its model."""

from __future__ import annotations

from dataclasses import asdict

from mtl.pages import render
from mtl.pages.charts import COLOURS
from mtl.serving.served_model import ServedModel

_EXAMPLE = "Ann Smith flew to New York on Monday."


def page(model: ServedModel) -> str:
    """Return the page for a model."""
    default = model.select(None)
    pairs = model.tasks[default[0]].pairs
    return render(
        "serve.html",
        title=model.name,
        tasks={name: asdict(task) for name, task in model.tasks.items()},
        default=default,
        # Tasks on pairs and on single texts cannot be chosen together.
        chosen=[name for name in default if model.tasks[name].pairs == pairs],
        attention=any(task.attention for task in model.tasks.values()),
        example="" if pairs else _EXAMPLE,
        colours=COLOURS,
    )
