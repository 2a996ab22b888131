"""A page to accept or reject the suggestions of an audit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mtl.analysis.audit.audit import Audit
from mtl.analysis.audit.issues import Issue, excerpt
from mtl.files import atomic_write
from mtl.pages import render

MOST = 1000
"""The number of issues on a page; browsers become slow with more rows."""
_AROUND = 12
"""The number of words on each side of the words in question."""


def write_page(found: Audit, path: Path) -> None:
    """Write the page of the most suspicious labels of an audit.

    Args:
        found: The audit.
        path: The file to write.

    Raises:
        MtlError: The file cannot be written.
    """
    issues = found.issues[:MOST]
    notes = [*found.notes]
    if len(found.issues) > MOST:
        notes.append(
            f"The page has the {MOST:,} most suspicious of {len(found.issues):,} labels; "
            "audit.jsonl has all of them."
        )
    # Inside of a script, only "</" and "<!--" have a meaning.
    data = json.dumps([issue.to_dict() for issue in issues], ensure_ascii=False)
    page = render(
        "audit.html",
        title=f"Suspicious labels: {found.folder.name}",
        tasks=[*found.tasks.items()],
        notes=notes,
        rows=[*map(_row, issues)],
        data=Markup(data.replace("<", "\\u003c")),
        key=hashlib.blake2b(data.encode(), digest_size=8).hexdigest(),
    )
    with atomic_write(path) as file:
        file.write(page)


def _row(issue: Issue) -> dict[str, Any]:
    before, words, after = excerpt(issue, _AROUND)
    return {
        "task": issue.task,
        "kind": issue.kind,
        "place": f"{Path(issue.file).name}:{issue.line}",
        "before": before,
        "words": words,
        "after": after,
        "given": issue.given,
        # The texts of spans are too many for a filter, so it has the type of the first span.
        "given_kind": issue.given if issue.kind == "label" else issue.given.partition(":")[0],
        "suggested": issue.suggested,
        "editable": issue.kind == "label" and isinstance(issue.changes[0].new, str),
        "given_probability": f"{issue.given_probability:.2g}",
        "suggested_probability": f"{issue.suggested_probability:.2g}",
    }
