"""What sharing, trunk and heads refuse, and what they are given for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from mtl.config.parts import Part
from mtl.config.run import Run
from mtl.errors import ConfigError
from mtl.experiment.build import head_owners, head_part, layer_width, make_sharing
from mtl.experiment.kinds import KINDS, Refusal
from mtl.experiment.pretrained import reads_subwords
from mtl.heads import AttentionClassifier, PoolClassifier, Tagger
from mtl.options import options_of
from mtl.sharing import SHARING, Soft

_NEEDED: Mapping[type, Mapping[str, tuple[str, tuple[str, ...]]]] = {
    Soft: {
        "within": ("penalty", ("mean", "clustered")),
        "between": ("penalty", ("clustered",)),
    },
    Tagger: {"window": ("attention", ("key_value",))},
    PoolClassifier: {"window": ("attention", ("key_value",))},
    AttentionClassifier: {"size": ("score", ("self",))},
}
"""Class to its options that do nothing unless another one has one of these values."""


def mistakes(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what parts refuse or do not use: the dotted path of a key, and what is wrong."""
    yield from _layers(run)
    yield from _idle("sharing", "sharing", run.sharing)
    for task, owner in head_owners(run).items():
        if task == owner:
            yield from _idle(f"tasks.{task}.head", "head", head_part(run, task))
    options = run.sharing.options
    if options.get("groups") and options.get("adversary") == 0:
        yield (
            "sharing.groups",
            "nobody tells them apart; set sharing.adversary, or leave the groups out",
        )


def _layers(run: Run) -> Iterator[tuple[str, str]]:
    if reads_subwords(run) and run.trunk.options["num_layers"] is None:
        return  # nobody has looked at the model yet
    if len(run.tasks) < SHARING.find(run.sharing.type).min_tasks:
        return  # told with what else needs tasks
    try:
        with torch.device("meta"):  # shapes alone, no numbers
            sharing = make_sharing(run, 1)
    except Refusal as refusal:
        yield refusal.path, refusal.reason
        return
    for name, task in run.tasks.items():
        try:
            layer_width(task.layer, sharing.sizes_of(name))
        except ConfigError as error:
            yield f"tasks.{name}.layer", str(error)


def _idle(path: str, kind: str, part: Part) -> Iterator[tuple[str, str]]:
    cls = KINDS[kind].find(part.type)
    defaults = {option.name: option.default for option in options_of(cls)}
    given = {name for name, value in part.options.items() if value != defaults.get(name)}
    for base, needed in _NEEDED.items():
        if not issubclass(cls, base):
            continue
        for option, (other, values) in needed.items():
            if option in given and part.options.get(other) not in values:
                yield f"{path}.{option}", f"does nothing unless {other} is {' or '.join(values)}"
