"""Which sentences of a corpus are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtl.errors import ConfigError, MtlError

if TYPE_CHECKING:
    from mtl.config.corpus import Corpus as CorpusConfig
    from mtl.data.corpus import Split


def take(config: CorpusConfig, splits: Mapping[str, Split]) -> tuple[dict[str, Split], list[str]]:
    """Return the sentences that `where` asks for, of these as many as `limit` allows, and notes.

    Args:
        config: What is said of the corpus.
        splits: All sentences, by split.

    Raises:
        ConfigError: No sentence has what is asked for.
    """
    taken, notes = {}, []
    for name, whole in splits.items():
        own = whole
        try:
            for by, values in config.where.get(name, {}).items():
                own = own.where(by, values)
        except MtlError as error:
            raise ConfigError(f"corpora.{config.name}.where.{name}: {error}") from error
        if not len(own):
            raise ConfigError(f"corpora.{config.name}.where.{name}: no sentence is left")
        if name in config.limit:
            own = own.limited(config.limit[name])
        if own is not whole:
            notes.append(f"{name}: {len(own)} of {len(whole)} sentences taken")
        taken[name] = own
    return taken, notes
