"""Options of parts: their types, their declaration and the checks that they share.

The keyword-only arguments of a part's constructor are its options in YAML. `Annotated[float,
Bounds(ge=0, lt=1)]` is the only place where a range is written: the configuration layer derives
validation, JSON Schema and help from it. This module imports no third-party package, so a head or
a layer can be imported with torch alone.

Three further declarations:

- Options that several parts share are a `TypedDict` whose annotations carry a `Default`. A
  constructor takes them as `**stack: Unpack[StackOptions]` and fills in defaults by `complete`.
- Options that the library follows when it builds a part (a file of vectors, a folder to start
  from) are not constructor arguments. They are a `TypedDict` too, the `recipe` of the class, which
  adds to the recipes of the classes above.
- `Requires` marks an option that has no effect unless another option has a certain value.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import (
    Annotated,
    Any,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from mtl.errors import OptionError, did_you_mean

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The allowed range of a number; None means unbounded."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Add the limits to the schema of the type; pydantic calls a method of this name."""
        limits = {"ge": self.ge, "gt": self.gt, "le": self.le, "lt": self.lt}
        return {**handler(source), **{k: limit for k, limit in limits.items() if limit is not None}}


@dataclass(frozen=True, slots=True)
class File:
    """Marks an option that names a file, relative to its YAML file or to $MTL_DATA.

    Args:
        or_name: Whether the value may also be a name, such as a model on a hub. A path that does
            not exist is then left as it was written.
        advice: What to do if the file is missing; None: the advice for data files.
        shipped: The folder of the package that is searched last.
    """

    or_name: bool = False
    advice: str | None = None
    shipped: str | None = None


@dataclass(frozen=True, slots=True)
class Default:
    """The default of an option in a `TypedDict`, which has no other place for it."""

    value: Any


@dataclass(frozen=True, slots=True)
class Requires:
    """Marks an option that has no effect unless another option has one of some values.

    Args:
        option: The other option.
        values: Its values; empty: any value but null, false, 0 and an empty list.
        least: The smallest of its values, for a number.
    """

    option: str
    values: tuple[Any, ...] = ()
    least: int = 0

    def met(self, options: Mapping[str, Any]) -> bool:
        """Return whether the other option has a value with which this one has an effect."""
        value = options.get(self.option)
        if self.least:
            return isinstance(value, int) and value >= self.least
        return value in self.values if self.values else bool(value)

    def __str__(self) -> str:
        needed = " or ".join(_as_yaml(value) for value in self.values) or "set"
        if self.least:
            needed = f"at least {self.least}"
        return f"has no effect unless {self.option} is {needed}; leave it out, or set {self.option}"


FilePath = Annotated[str, File()]
RunPath = Annotated[
    str, File(advice="train it first: mtl train RUN.yaml --output DIR", shipped="pretrained")
]
"""The folder of a finished run, or the name of one that the package contains."""
ModelName = Annotated[str, File(or_name=True)]
"""A folder, or a name on the Hugging Face hub."""
Probability = Annotated[float, Bounds(ge=0, lt=1)]
"""A probability of dropping a unit, weight or word, in [0, 1)."""
Fraction = Annotated[float, Bounds(ge=0, le=1)]
PositiveInt = Annotated[int, Bounds(ge=1)]
NonNegativeInt = Annotated[int, Bounds(ge=0)]
LayerCount = Annotated[int, Bounds(ge=1, le=1000)]
PositiveFloat = Annotated[float, Bounds(gt=0)]
NonNegativeFloat = Annotated[float, Bounds(ge=0)]

REQUIRED = inspect.Parameter.empty
"""The default of an option that must be given."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a part.

    Args:
        name: The name.
        annotation: The type, with the marks that concern its values.
        default: The default, or `REQUIRED`.
        help: The description from the docstring.
        requires: The option without which this one has no effect, if any.
    """

    name: str
    annotation: Any
    default: Any
    help: str
    requires: Requires | None = None


@dataclass(frozen=True)
class RunContext:
    """Facts about a run that parts may need to check their options.

    Args:
        tasks: All tasks, in the order of the run file.
        corpora: Corpus to its tasks. Tasks of one corpus read the same sentences.
        texts: Task to the word that it predicts, "next", "previous" or "same"; language models
            and auto-encoders only.
        spans: The tasks whose labels are span tags.
        single: The tasks with exactly one label per token or per sentence.
        tagged: The tasks that predict labels of tokens, without language models; only for `notes`.
        pairs: The tasks that compare two sentences.
        scored: The tasks whose corpus has a development set.
        reads_subwords: Whether the trunk reads the subwords of a pretrained model.
        starts: Whether the trunk and the embedding start from another run.
        chunks: Task to the mean number of words of a chunk, for tasks that are trained on streams.
        epochs: The largest number of epochs.
        batches: Corpus to the number of its training batches in the whole run; for a head, of the
            corpora that it is trained on. Empty before the data has been read.
        steps: The number of steps of the whole run; 0 before the data has been read.
        task: The task whose head or metric is checked; empty for all other parts.
        users: The tasks that use the head that is checked, `task` among them.
        processes: The number of processes that train together, each on a part of every batch.
        one_batch: Whether a batch has sentences of all corpora.
    """

    tasks: tuple[str, ...]
    corpora: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    spans: frozenset[str] = frozenset()
    single: frozenset[str] = frozenset()
    tagged: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    scored: frozenset[str] = frozenset()
    reads_subwords: bool = False
    starts: bool = False
    chunks: Mapping[str, int] = field(default_factory=dict)
    epochs: int = 1
    batches: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    task: str = ""
    users: tuple[str, ...] = ()
    processes: int = 1
    one_batch: bool = False


class Checked:
    """Base of all parts: a part can check its options against the run that it is used in."""

    @classmethod
    def check(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield the errors in the options that the type of each option cannot express.

        They are reported before the data is read, each at the line of its option. An override
        should also yield the errors of the class above.

        Args:
            options: All options, recipe included.
            context: The run.
        """
        return ()

    @classmethod
    def idle(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[OptionError]:
        """Yield errors where the part has no effect in this run, and `Requires` cannot say so.

        They are errors of new runs only, so that the folders of earlier runs still load. Arguments
        as for `check`.
        """
        return ()

    @classmethod
    def notes(cls, options: Mapping[str, Any], context: RunContext) -> Iterable[str]:
        """Yield notes for the plan on options that have little or no effect in this run.

        They are for options whose effect depends on the length of the run or on other parts, so
        that they are not errors: a user may try a run for one epoch. The data has been read.
        Arguments as for `check`.
        """
        return ()


def one_process(option: str, context: RunContext) -> Iterator[OptionError]:
    """Yield an error if several processes train; for options that compare sentences of a batch."""
    if context.processes > 1:
        yield OptionError(
            option,
            "compares all sentences of a batch, and each of several processes has a part of them; "
            "train in one process",
        )


def options_of(part: type | Callable[..., Any]) -> list[Option]:
    """Return the options of a class, a function or a `TypedDict`, in order.

    The options of a class or function are the entries of `**options: Unpack[SomeTypedDict]`, if
    its signature has such, and its keyword-only arguments. The help text comes from the `Args:`
    section of the docstring, or from the docstring of a base class.
    """
    return list(_options_of(part))


@cache  # a run with many tasks asks for the same few parts again and again
def _options_of(part: type | Callable[..., Any]) -> list[Option]:
    if is_typeddict(part):
        return _entries(cast("type", part))
    function = part.__init__ if isinstance(part, type) else part  # type: ignore[misc]
    hints = get_type_hints(function, include_extras=True)
    helps = _helps(part.__mro__ if isinstance(part, type) else [part])
    found: list[Option] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            annotation, _, requires = _unmarked(hints.get(name, Any))
            default, text = parameter.default, helps.get(name, "")
            found.append(Option(name, annotation, default, text, requires))
        elif get_origin(hints.get(name)) is Unpack:
            found = _entries(get_args(hints[name])[0]) + found
    return found


def _entries(kind: type) -> list[Option]:
    """Return the options that a `TypedDict` declares."""
    helps = _helps([kind])
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        annotation, default, requires = _unmarked(hint)
        found.append(Option(name, annotation, default, helps.get(name, ""), requires))
    return found


def _helps(documented: Iterable[Any]) -> dict[str, str]:
    """Return the help texts of options; the first of the objects has precedence."""
    helps: dict[str, str] = {}
    for one in documented:
        helps = argument_help(inspect.cleandoc(one.__doc__ or "")) | helps
    return helps


def _unmarked(annotation: Any) -> tuple[Any, Any, Requires | None]:
    """Return a type without `Default` and `Requires`, the default, and the requirement."""
    if get_origin(annotation) is not Annotated:
        return annotation, REQUIRED, None
    base, *marks = get_args(annotation)
    default = next((mark.value for mark in marks if isinstance(mark, Default)), REQUIRED)
    requires = next((mark for mark in marks if isinstance(mark, Requires)), None)
    rest = [mark for mark in marks if not isinstance(mark, (Default, Requires))]
    annotated: Any = Annotated
    return annotated[(base, *rest)] if rest else base, default, requires


def recipe_of(part: type) -> dict[str, Option]:
    """Return the options of a part that the library follows for it, by name.

    These are the options of its vocabulary, if it has one, and of the `recipe` of its class and
    of the classes above.
    """
    options: list[Option] = []
    if vocabulary := getattr(part, "vocabulary", None):
        options += options_of(vocabulary.build)
    for base in reversed(part.__mro__):
        if recipe := vars(base).get("recipe"):
            options += options_of(recipe)
    return {option.name: option for option in options}


def part_options(part: type) -> dict[str, Option]:
    """Return all options that a part has in YAML, by name, constructor options first."""
    return {option.name: option for option in options_of(part)} | recipe_of(part)


def constructor_options(part: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that go to the constructor of a part, without the recipe.

    Options that have no effect are left out: run folders of earlier versions may have some, which
    constructors now refuse.
    """
    declared = options_of(part)
    idle = {error.option for error in idle_options(declared, options)}
    names = {option.name for option in declared} - recipe_of(part).keys() - idle
    return {name: value for name, value in options.items() if name in names}


def complete(kind: type[OptionsT], options: OptionsT) -> OptionsT:
    """Return the options of a `TypedDict`, with defaults for missing ones.

    Raises:
        TypeError: An option is unknown.
        OptionError: An option was given that has no effect; see `Requires`.
    """
    given = cast("Mapping[str, Any]", options)
    declared = {option.name: option for option in options_of(kind)}
    for name in given:
        if name not in declared:
            raise TypeError(f"unexpected keyword argument {name!r}{did_you_mean(name, declared)}")
    values = {name: given.get(name, option.default) for name, option in declared.items()}
    for name, value in values.items():
        if value is REQUIRED:
            raise TypeError(f"missing keyword argument {name!r}")
    refuse_idle(kind, values)
    return cast("OptionsT", values)


def refuse_idle(part: type | Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise OptionError for an option that was changed and has no effect; see `Requires`.

    Args:
        part: The class, function or `TypedDict` that declares the options.
        options: Values by name. Missing options are not checked.
    """
    for error in idle_options(options_of(part), options):
        raise error


def idle_options(declared: Iterable[Option], options: Mapping[str, Any]) -> Iterator[OptionError]:
    """Yield an error for each option that is not at its default and has no effect."""
    for option in declared:
        if option.requires and option.name in options:
            changed = not _equal(options[option.name], option.default)
            if changed and not option.requires.met(options):
                yield OptionError(option.name, str(option.requires))


def _equal(value: Any, default: Any) -> bool:
    """Return whether two values are equal; a list may equal a tuple."""
    if isinstance(value, (list, tuple)) and isinstance(default, (list, tuple)):
        return list(value) == list(default)
    return bool(value == default)


def _as_yaml(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is one.

    >>> count(1, "epoch"), count(3, "epoch")
    ('1 epoch', '3 epochs')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise OptionError if the value of an option is not one of the choices."""
    if value not in choices:
        raise OptionError(name, f"expected one of {', '.join(choices)}, got {value!r}")


def argument_help(docstring: str) -> dict[str, str]:
    """Return the entries of a Google-style `Args:` section, each on one line."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if not section:
        return {}
    entries = re.findall(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
