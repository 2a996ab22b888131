"""Finite automata over labels, and the rules that they stand for. Letters: K labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from mtl.errors import MtlError, OptionError, did_you_mean
from mtl.text.spans import parse_tag

Rule: TypeAlias = Mapping[str, int | str | Sequence[str]]
"""A rule as in a run file; see `Rules`."""
_FORMS = "expected {at_least: N, at_most: N, labels: […]}, {labels: […], after: […]} or {labels: \
[…], with: […]}"

_LARGEST = 1000
"""The largest number of a rule."""


class Automaton(NamedTuple):
    """A deterministic finite automaton over labels; it begins in state 0.

    Args:
        moves: Per state, the next state by label, `[K]`; −1 where the label is forbidden.
        accepting: Per state, whether a sequence may end in it.
    """

    moves: Sequence[Sequence[int]]
    accepting: Sequence[bool]

    @classmethod
    def counting(cls, counted: Sequence[bool], least: int, most: int | None) -> Automaton:
        """Return an automaton that counts labels; the count ends between two bounds.

        Args:
            counted: Whether each label is counted, `[K]`.
            least: The smallest count at the end.
            most: The largest count; None: any.
        """
        top = least if most is None else most  # without a bound, larger counts are alike
        after_top = top if most is None else -1
        moves = [
            [(count + 1 if count < top else after_top) if own else count for own in counted]
            for count in range(top + 1)
        ]
        return cls(moves, [count >= least for count in range(top + 1)])

    @classmethod
    def following(cls, later: Sequence[bool], earlier: Sequence[bool]) -> Automaton:
        """Return an automaton that allows some labels only somewhere after one of some others.

        Args:
            later: Whether each label needs another before it, `[K]`.
            earlier: Whether each label is one of those others, `[K]`.
        """
        before = [-1 if needs else int(gives) for needs, gives in zip(later, earlier, strict=True)]
        return cls([before, [1] * len(later)], [True, True])

    @classmethod
    def accompanied(cls, needing: Sequence[bool], needed: Sequence[bool]) -> Automaton:
        """Return an automaton that allows some labels only if one of some others occurs, too.

        Args:
            needing: Whether each label needs another, before or after it, `[K]`.
            needed: Whether each label is one of those others, `[K]`.
        """
        pairs = list(zip(needing, needed, strict=True))
        none = [2 if gives else int(needs) for needs, gives in pairs]
        waiting = [2 if gives else 1 for _, gives in pairs]
        return cls([none, waiting, [2] * len(pairs)], [True, False, True])


def read_rule(rule: Rule) -> tuple[str, dict[str, list[str]], dict[str, int]]:
    """Return the kind of a rule, the names in its fields, and its numbers."""
    given = set(rule)
    kinds = {"count": {"at_least", "at_most"}, "after": {"after"}, "with": {"with"}}
    kind = next((k for k, own in kinds.items() if own & given and given <= own | {"labels"}), None)
    if kind is None or "labels" not in given:
        raise OptionError("rules", f"{_FORMS}, got {_shown(rule)}")
    numbers: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    for key, value in rule.items():
        if key in ("at_least", "at_most"):
            # An automaton has a state per count, so a large number would fill the memory.
            if type(value) is not int or not 0 <= value <= _LARGEST:
                message = f"{key}: expected a number from 0 to {_LARGEST}, got {value!r}"
                raise OptionError("rules", message)
            numbers[key] = value
        else:
            own = [value] if isinstance(value, str) else value
            if isinstance(own, int) or not own or not all(isinstance(x, str) for x in own):
                raise OptionError("rules", f"{key}: expected a label or a list of them")
            names[key] = list(own)
    least, most = numbers.get("at_least", 0), numbers.get("at_most")
    if most is not None and least > most:
        raise OptionError("rules", f"at_least: expected at most {most}, got {least}")
    if kind == "count" and most is None and not least:
        raise OptionError("rules", "at_least: 0 is true of every sequence; remove the rule")
    return kind, names, numbers


def _shown(rule: Rule) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in rule.items()) + "}"


def compile_rule(rule: Rule, labels: Sequence[str]) -> Automaton:
    """Return the automaton of a rule.

    Raises:
        OptionError: The rule has no form that exists, or names an unknown label.
    """
    kind, names, numbers = read_rule(rule)
    first = _members(names["labels"], labels)
    if kind == "count":
        return Automaton.counting(first, numbers.get("at_least", 0), numbers.get("at_most"))
    second = _members(names[kind], labels)
    if any(map(all, zip(first, second, strict=True))):
        raise OptionError("rules", f"labels and {kind} have a label in common: {_shown(rule)}")
    return (Automaton.following if kind == "after" else Automaton.accompanied)(first, second)


def _members(names: Iterable[str], labels: Sequence[str]) -> list[bool]:
    """Return whether each label is named, by itself or by the type of its span, `[K]`."""
    begins = [_begun(label) for label in labels]
    named = list(names)
    for name in named:
        if name not in labels and name not in begins:
            known = sorted({*labels, *filter(None, begins)})
            raise OptionError("rules", f"unknown label {name!r}{did_you_mean(name, known)}")
    return [
        label in named or (kind is not None and kind in named)
        for label, kind in zip(labels, begins, strict=True)
    ]


def _begun(label: str) -> str | None:
    """Return the type of the span that a label always begins; None if it begins none."""
    try:
        prefix, kind = parse_tag(label)
    except MtlError:
        return None
    return kind if prefix in "BS" and kind else None
