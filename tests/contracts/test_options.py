"""Every option of every part has an effect when it is set alone, or the part refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.data.given import GivenCorpus, given_split
from mtl.errors import DataError
from mtl.experiment import KINDS
from mtl.heads import DomainDistance, SoftmaxTagger
from mtl.options import Bounds, Option, options_of, recipe_of
from mtl.text.example import Example
from mtl.trunks import LSTMTrunk
from tests.contracts.test_metrics import GOLD, GUESS, formed, predicted
from tests.contracts.variants import Variant, prefix_mask

Options = dict[str, Any]
TASKS = ["a", "b", "c"]
LABELS = ["O", "B-X", "I-X"]
WORDS = {"The": 9, "the": 5, "cats": 4, "1984": 3, "1985": 2, "naive": 1, "walking": 1}

LISTS = Path(__file__).parents[1] / "fixtures" / "gazetteers"
VOCABULARY: Mapping[str, Options] = {"gazetteers": {"lists": {"names": str(LISTS / "words.txt")}}}
"""Options without which a vocabulary is empty."""
BASE: Mapping[tuple[str, str], Options] = {
    ("trunk", "transformer"): {
        "num_layers": 2,
        "hidden_size": 4,
        "num_heads": 2,
        "feed_forward": 6,
        "positions": 9,
    },
    ("sharing", "sluice"): {"orthogonality": 0.1},
    ("sharing", "progressive"): {"old": ["a"]},
    ("reader", "hub"): {"name": "json"},
    ("optimizer", "sgd"): {"lr": 0.1, "momentum": 0.5},
    ("head", "attention"): {"hops": 2},
    ("head", "deep_cnn"): {"layers": [1, 1], "widths": [3, 3], "maps": 4, "k": 2, "dropout": 0.0},
    ("head", "hierarchical"): {"block": 2},
    ("metric", "top_k"): {"k": 1},
    ("metric", "word_top_k"): {"k": 1},
    ("schedule", "plateau"): {"decay": 0.5},
}
"""The options of a part that the others are set beside; by default those of the part."""
OTHER: Mapping[str, Sequence[Any]] = {
    "old": [["a", "b"]],
    "class_weights": [{"O": 0.5}],
    "never": [[["O", "B-X"]]],
    "rules": [[{"at_most": 1, "labels": "O"}]],
    "lists": [{"names": str(LISTS / "labels.tsv")}],
    "clusters": [[["a", "b"], ["c"]]],
    "tree": [[["a", "b"], "c"]],
    "edges": [[["a", "b"]]],
    "groups": [[["a", "b"], ["c"]]],
    "by_layer": [[[["a", "b"], ["c"]]]],
    "ngrams": [2],
    "order": [["c", "a", "b"]],
    "shared_only": [["b"]],
    "widths": [[1, 2]],
    "layers": [[1, 2]],
    "cutoffs": [[2]],
    "columns": [["labels", "tokens"]],
    "data_files": [{"train": "other.json"}],
    "betas": [[0.5, 0.9]],
    "points": [[0.2, 0.9]],
    "num_heads": [1],
    "num_layers": [1, 3],
    "window": [1, 2],
    "momentum": [0.9],
    "pieces": [258],
    "hops": [3],
    "activation": ["relu"],
    "restarts": [1],
    "separator": ["\t", ";"],
    "text": ["y"],
    "tokens": ["y"],
    "pair": ["y"],
    "name": ["csv"],
    "config": ["de"],
    "revision": ["main"],
    "subspaces": [3],
    "initial": [1.0],
}
"""Values that no type can suggest."""
CLUSTERS = {"clusters": [["a", "b"], ["c"]]}
BESIDES: Mapping[str, Options] = {
    "within": CLUSTERS,
    "between": CLUSTERS,
    "joint": {"tree": [["a", "b"], "c"]},
}
"""Option to others without which the option that it requires is refused."""


def others(option: Option) -> list[Any]:
    """Return values of an option other than its default."""
    if option.name in OTHER:
        return [value for value in OTHER[option.name] if value != option.default]
    return [v for v in _values(option.annotation, option.default) if v != option.default]


def _values(annotation: Any, default: Any) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from arguments
    elif hasattr(annotation, "__metadata__"):
        yield from _numbers(arguments[0], default, annotation.__metadata__)
    elif arguments and origin is not None and origin not in (list, dict, tuple):
        yield from (value for one in arguments for value in _values(one, default))
    else:
        yield from _numbers(annotation, default, ())


def _numbers(kind: Any, default: Any, marks: Sequence[Any]) -> Iterator[Any]:
    bounds = next((mark for mark in marks if isinstance(mark, Bounds)), Bounds())
    if kind is bool:
        yield from (True, False)
    elif kind is int:
        yield (default or 1) + 1 if bounds.lt is None and bounds.le is None else default - 1
    elif kind is float:
        yield 0.5 if default != 0.5 else 0.25
    elif get_args(kind):
        yield from _values(kind, default)


# ---- what a part does


def numbers(value: Any) -> list[Any]:
    """Return a value as a list that compares exactly."""
    if isinstance(value, Tensor):
        return [list(value.shape), *value.detach().double().flatten().tolist()]
    if isinstance(value, Mapping):
        return [part for key in value for part in (str(key), *numbers(value[key]))]
    if isinstance(value, (list, tuple)):
        return [part for one in value for part in numbers(one)]
    return [value]


def weights(module: nn.Module) -> list[Any]:
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    return [*numbers(dict(module.named_parameters())), trained]


def text() -> tuple[Tensor, Tensor]:
    mask = prefix_mask([5, 2, 4, 3, 5, 1])
    return torch.randn(6, 5, 4) * mask.unsqueeze(-1), mask


def trunk_behaviour(make: Callable[..., Any]) -> list[Any]:
    trunk, (x, mask) = make(4), text()
    found = [weights(trunk), trunk.sizes, trunk.directions, trunk.stacks]
    for mode in (True, False):
        torch.manual_seed(1)
        layers, _ = trunk.train(mode)(x, mask, trunk.initial_state(len(x)))
        found.append(numbers(layers))
    found.append(numbers(trunk.initial_state(2)))
    return found


def small_trunk() -> LSTMTrunk:
    return LSTMTrunk(4, num_layers=2, hidden_size=6, bidirectional=False, dropout=0)


def sharing_behaviour(make: Callable[..., Any]) -> list[Any]:
    sharing, (x, mask) = make(TASKS, small_trunk), text()
    found: list[Any] = [weights(sharing), list(sharing.label_dims.items())]
    with torch.no_grad():
        for epoch in range(2):
            sharing.begin_epoch(epoch)
            for parameter in sharing.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    for _ in range(2):  # a ramp shows in the second batch
        sharing.zero_grad(set_to_none=True)
        for task in TASKS:
            output = sharing.train()(x, mask, [task])[task]
            sum(output.penalties.values(), start=output.layers[-1].sum()).backward()
            found.append(numbers([output.layers, dict(output.penalties)]))
        found.append(numbers([p.grad for p in sharing.parameters() if p.grad is not None]))
    return [*found, list(sharing.lr_factors().values())]


def head_behaviour(make: Callable[..., Any]) -> list[Any]:
    head, (x, mask) = make(4, LABELS), text()
    if getattr(head, "reads_text", False):
        head.read_text(torch.tensor([1, 0, 1, 2, 1]))
    target = torch.tensor([[0, 1, 0, 1, 0]] * 6)
    target = target if head.level == "token" else torch.arange(6) % 3
    found: list[Any] = [weights(head)]
    x = torch.cat([x, mask.unsqueeze(2).expand(-1, -1, getattr(head, "width", 4) - 4)], dim=2)
    for mode in (True, True, False):
        hidden = x.clone().requires_grad_()
        torch.manual_seed(1)
        loss = head.train(mode).loss(hidden, mask, target)
        loss.sum().backward()
        found += [numbers(loss), numbers(hidden.grad)]
    with torch.no_grad():
        for scale in (1, -3):  # sequences that a rule forbids are then the best
            found += [numbers(head.decode(scale * x, mask)), numbers(head.log_probs(x, mask))]
        found.append(numbers(head.attention_weights(x, mask)))
        found.append(numbers(head.chain(head.scores(x, mask))) if hasattr(head, "chain") else [])
    return found


def embedding_behaviour(make: Callable[..., Any], cls: Any) -> list[Any]:
    own = cls.vocabulary
    vocabularies = {own.feature: own.build(WORDS, **VOCABULARY.get(own.feature, {}))}
    embedding = make(vocabularies)
    batch = words_batch(Batcher(vocabularies, {}))
    torch.manual_seed(1)
    trained = embedding.train()(batch.features, batch.mask)
    return [weights(embedding), numbers(trained), embedding.size]


def words_batch(batcher: Batcher) -> Batch:
    return batcher.batch([Example(tuple(WORDS)), Example(("walking", "dogs"))])


def weighting_behaviour(make: Callable[..., Any]) -> list[Any]:
    weighting = make({"a": 1.0, "b": 2.0})
    shared = nn.Parameter(torch.ones(3))
    found = []
    for step in range(1, 4):
        losses = {"a": (shared**2).sum() * step, "b": (shared**4).sum() / step}
        weighting.backward(losses, [shared])
        weighting.observe(losses, {"a": losses["a"] / 3, "b": losses["b"]})
        weighting.end_epoch({task: loss.item() for task, loss in losses.items()})
        with torch.no_grad():
            for parameter in weighting.parameters():
                parameter.add_(1.0)
        found.append(numbers([weighting.weights(), weighting.combine(losses)]))
    return [*found, numbers(shared.grad)]


def mixing_behaviour(make: Callable[..., Any]) -> list[Any]:
    mixing = make({"a": 3, "b": 30}, 4)
    return [numbers(mixing.probabilities(step)) for step in (0, 40)] + [
        numbers(mixing.factors({"a": 0.3, "b": 0.9})),
        mixing.one_batch,
    ]


def metric_behaviour(make: Callable[..., Any]) -> list[Any]:
    metric = make()
    variant = Variant("", type(metric), {})
    metric.update(formed(variant, GOLD), predicted(variant, GOLD, GUESS))
    return numbers(metric.compute())


FILES = {
    "conll": "# x = 1\nAda\tNNP extra\nslept\tVBD y\n\n#no comment\nYes;a\tUH;b\n",
    "conllu": "# sent_id = a\n1\tAda\t_\tX\tY\t_\t0\troot\t_\t_\n",
    "csv": 'text,y\n"Ada, can\'t",1\nYes,0\n',
    "tsv": 'text\ty\n"Ada" can\'t\t1\n',
    "jsonl": '{"text": "Ada can\'t", "y": "good one", "z": "1"}\n',
    "lines": "1 Ada can't 0\n",
    "text": "Ada can't\nsleep\n\nYes\n",
    "python": '{"text": "Ada can\'t", "tokens": null, "y": "good one", "z": "1"}\n',
}
"""For each reader a file in which every option makes a difference."""


def reader_behaviour(make: Callable[..., Any], name: str, folder: Path) -> list[Any]:
    if name == "python":
        rows = [json.loads(FILES[name])]
        given = GivenCorpus.of({"train": given_split(rows, "data")})
        return [repr(list(make(given).read(Path(given.splits["train"]))))]
    reader = make()
    if name == "hub":
        rows = [json.loads(FILES["jsonl"])]
        found = mock.MagicMock(features=dict.fromkeys(rows[0]))
        found.__iter__.side_effect = lambda: iter(rows)
        with mock.patch("datasets.load_dataset", return_value=found) as load:
            records = list(reader.read(Path("train")))
            return [repr(records), repr(load.call_args)]
    path = folder / "file"
    path.write_text(FILES[name], encoding="utf-8")
    return [repr(list(reader.read(path)))]


def optimizer_behaviour(make: Callable[..., Any]) -> list[Any]:
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make([parameter])
    for step in range(30):
        optimizer.zero_grad()
        ((parameter - step % 3) ** 2).sum().backward()
        optimizer.step()
    return numbers(parameter)


def schedule_behaviour(make: Callable[..., Any]) -> list[Any]:
    schedule = make(1000)
    scores = [0.5, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    found = [
        schedule.factor(step, scores[:n]) for step in range(0, 1000, 9) for n in range(len(scores))
    ]
    restarts = getattr(schedule, "restarts_after", None)
    return [
        schedule.snapshots,
        *found,
        [restarts(scores[:n]) for n in range(len(scores))] if restarts else [],
    ]


def average_behaviour(make: Callable[..., Any]) -> list[Any]:
    model = nn.Linear(2, 1)
    average = make(model)
    scores = [0.5, 0.4, 0.3, 0.3, 0.3, 0.2, 0.1, *[0.1] * 20]
    found = []
    for n in range(1, len(scores)):
        with torch.no_grad():
            model.weight.add_(1.0)
        average.begin_if_due(scores[:n])
        average.update()
        with average.applied():
            found += numbers(model.weight)
    return found


def behaviour(kind: str, name: str, cls: Any, options: Options, folder: Path) -> list[Any]:
    """Return what a part does, made alone with some options, from the same random numbers."""

    def make(*supplied: Any) -> Any:
        torch.manual_seed(0)
        return cls(*supplied, **options)

    torch.manual_seed(2)
    if kind == "embedding":
        return embedding_behaviour(make, cls)
    if kind == "reader":
        return reader_behaviour(make, name, folder)
    of_kind = {
        "trunk": trunk_behaviour,
        "sharing": sharing_behaviour,
        "head": head_behaviour,
        "weighting": weighting_behaviour,
        "mixing": mixing_behaviour,
        "metric": metric_behaviour,
        "optimizer": optimizer_behaviour,
        "schedule": schedule_behaviour,
        "average": average_behaviour,
    }
    return of_kind[kind](make)


def refused_or_done(kind: str, name: str, cls: Any, options: Options, folder: Path) -> Any:
    """Return what a part does, or that it refuses its options."""
    try:
        return behaviour(kind, name, cls, options, folder)
    except (TypeError, ValueError, DataError) as error:  # or a file does not fit the options
        return f"refused: {error}"


def idle_options(kind: str, name: str, cls: Any, folder: Path) -> list[str]:
    """Return the options of a part that do nothing, whatever their value."""
    base = BASE.get((kind, name), {})
    found = []
    plain = refused_or_done(kind, name, cls, base, folder)
    assert not str(plain).startswith("refused"), plain
    for option in options_of(cls):
        values = others(option)
        assert values, f"{name}.{option.name}: add a row to OTHER"
        tried = [{**base, option.name: value} for value in values]
        before, beside = plain, base
        if option.requires and option.requires.values:
            # It must have an effect beside the option that it requires, and be refused without.
            beside = {**base, **BESIDES.get(option.name, {})}
            beside[option.requires.option] = option.requires.values[-1]
            before = refused_or_done(kind, name, cls, beside, folder)
            needed = next(o for o in options_of(cls) if o.name == option.requires.option)
            idle = {**base, option.name: values[0]}
            without = [value for value in others(needed) if value not in option.requires.values]
            idle |= dict([(needed.name, value) for value in without][-1:])
            assert "has no effect unless" in str(refused_or_done(kind, name, cls, idle, folder))
        tried = [{**beside, option.name: value} for value in values]
        if all(refused_or_done(kind, name, cls, own, folder) == before for own in tried):
            found.append(option.name)
    return found


PARTS = [
    pytest.param(kind, name, cls, id=f"{kind}-{name}")
    for kind, registry in KINDS.items()
    for name, cls in registry.items()
]


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_every_option_has_an_effect_or_is_refused(
    kind: str, name: str, cls: type, tmp_path: Path
) -> None:
    assert idle_options(kind, name, cls, tmp_path) == []


@pytest.mark.parametrize(("kind", "name", "cls"), PARTS)
def test_an_option_that_the_library_follows_is_no_argument(kind: str, name: str, cls: type) -> None:
    own = {option.name for option in options_of(cls)}
    for option in recipe_of(cls).keys() - own:
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
            cls(*{"head": (4, LABELS), "reader": ()}.get(kind, (None,)), **{option: 1})


@pytest.mark.parametrize(
    ("name", "cls"),
    [(name, cls) for name, cls in KINDS["embedding"].items()],
    ids=str,
)
def test_every_option_of_a_vocabulary_has_an_effect(name: str, cls: Any) -> None:
    build = cls.vocabulary.build
    words = {**WORDS, "<x>": 1}
    before = build(words).to_json()
    for option in options_of(build):
        done = [build(words, **{option.name: value}).to_json() for value in others(option)]
        assert any(own != before for own in done), option.name


class Idle(SoftmaxTagger):
    """A tagger with an option that it stores and never reads."""

    def __init__(self, in_features: int, labels: Sequence[str], *, idle: bool = False) -> None:
        super().__init__(in_features, labels)
        self.idle = idle


class IdleDistance(DomainDistance):
    """A classifier that does not hand an option on."""

    def __init__(self, in_features: int, labels: Sequence[str], *, strength: float = 1.0) -> None:
        super().__init__(in_features, labels)


@pytest.mark.parametrize(("cls", "option"), [(Idle, "idle"), (IdleDistance, "strength")])
def test_an_option_that_does_nothing_is_found(cls: type, option: str, tmp_path: Path) -> None:
    assert idle_options("head", "own", cls, tmp_path) == [option]
