"""Search spaces: run files with ranges, and the runs of single values from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mtl.config.build import Kinds
from mtl.config.document import Node
from mtl.config.load import Check, Complete, Config, build_run, read_tree
from mtl.config.overrides import Overrides
from mtl.config.run import Run
from mtl.config.search import NumberRange, Range, find_ranges, with_values
from mtl.errors import ConfigError
from mtl.registry import OnImport, silently


@dataclass(frozen=True)
class Space:
    """A run with ranges in place of some values.

    Args:
        ranges: The ranges by the dotted path of their keys.
    """

    ranges: Mapping[str, Range]
    _root: Node
    _build: Callable[[Node], Run]

    def run(self, values: Mapping[str, Any] | None = None) -> Run:
        """Return the run with some values.

        Args:
            values: Path of a range to a number, or to the label of a choice. A missing one: the
                first value of the range.

        Raises:
            ConfigError: The values do not fit together.
        """
        given = {path: own.first() for path, own in self.ranges.items()} | dict(values or {})
        return self._with({path: self.ranges[path].node(value) for path, value in given.items()})

    def plain(self, values: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
        """Return keys to the value there, in the form of a run file."""
        return {
            own.keys: own.node(values[path]).plain()
            for path, own in self.ranges.items()
            if path in values
        }

    def _with(self, nodes: Mapping[str, Node]) -> Run:
        return self._build(
            with_values(self._root, {self.ranges[path].keys: own for path, own in nodes.items()})
        )

    def _checked(self) -> Space:
        """Return the space with the types of its ranges, after a check of all ends and choices."""
        first = {path: own.nodes[0] for path, own in self.ranges.items()}
        messages: dict[str, None] = {}
        for nodes in self._candidates(first):
            try:
                self._with(nodes)
            except ConfigError as error:
                messages |= dict.fromkeys(str(error).split("\n"))
        if messages:
            raise ConfigError("\n".join(messages))
        ranges: dict[str, Range] = {}
        for path, own in self.ranges.items():
            if isinstance(own, NumberRange) and not self._takes_fractions(own, path, first):
                if isinstance(own.step, float):
                    messages[f"{own.place}: {path}.step: expected a whole number"] = None
                ranges[path] = replace(own, whole=True)
            else:
                ranges[path] = own
        if messages:
            raise ConfigError("\n".join(messages))
        return replace(self, ranges=ranges)

    def _candidates(self, first: Mapping[str, Node]) -> Iterator[dict[str, Node]]:
        """Yield the first values, then each other end or choice among the first values."""
        yield dict(first)
        for path, own in self.ranges.items():
            for node in own.nodes[1:]:
                yield {**first, path: node}

    def _takes_fractions(self, own: NumberRange, path: str, first: Mapping[str, Node]) -> bool:
        """Return whether a key takes fractions, as the type of its option says."""
        low, high = own.low.value, own.high.value
        if not (isinstance(low, int) and isinstance(high, int)):
            return True
        try:
            self._with({**first, path: own.node(low + 0.5)})
        except ConfigError:
            return False
        return True


def load_space(
    config: Config,
    overrides: Overrides = (),
    *,
    kinds: Kinds,
    on_import: OnImport | None = silently,
    complete: Complete = lambda run: run,
    check: Check = lambda run: (),
) -> Space:
    """Read a run file with ranges, or without any; arguments as for `mtl.config.load.load_run`.

    Both ends of each range and all choices are checked as the values of a run, each together with
    the first values of the other ranges. A range has whole numbers if its option accepts no
    others.

    Raises:
        ConfigError: All errors, one per line.
    """
    folder, root = read_tree(config, overrides)
    build = partial(
        build_run,
        folder,
        kinds=kinds,
        given=None,
        must_exist=True,
        on_import=on_import,
        complete=complete,
        check=check,
    )
    space = Space(find_ranges(root), root, build)
    return space._checked() if space.ranges else space
