"""The patterns of prose that docstrings, comments, messages and pages must not use.

Run it on files or folders to see what is left: `python tests/repository/prose.py mtl/layers docs`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PATTERNS = {
    # Free relatives in the place of a noun.
    "return what": r"\b(?:Return|Yield|Give|Make)s? (?:what|who|where|how|whether it|which)\b",
    "what as a noun": r"\b(?:What|what) (?:a|an|the) \w+ (?:is|are|was|has|have|gives?|says?|"
    r"reads?|makes?|needs?|said|gave|made|read|called?|does|did)\b",
    "what follows": r"\b(?:[Ww]hat|[Tt]hat) (?:is|was|are|were) (?:read|given|said|known|left|kept|"
    r"wanted|asked|told|learnt|learned|shown|found|written|stored)\b",
    "who": r"\bwho (?:makes?|waits?|use|uses|gives?|always|wants?|reads?|calls?)\b",
    # "one a sentence" for "one per sentence".
    "one a": r"\bone (?:a|an) (?:token|word|sentence|task|line|label|layer|step|epoch|feature|"
    r"column|file|batch|row|corpus|text|tagger|classifier|seed|character|pair|head)\b",
    "a task for per task": r"\b(?:label|head|loss|tensor|file|row|item|vector|matrix|number|column|"
    r"object|table|trunk|seconds|bits|nats|weight|bar)s? a (?:task|token|word|sentence|line|layer|"
    r"step|epoch|feature|column|character|label|tagger|classifier|corpus|seed|head|gate)\b",
    # Chains of pronouns.
    # "of these tasks" is good English; a bare "of these" makes the reader look back.
    "of which": r"\bof (?:which|whom)\b|\bof (?:these|those)(?=\s*[.,;:)])",
    "those of": r"\b(?:those|that) of\b",
    # Inverted order.
    "fronted of": r"(?:(?<=[.;:!?] )|^)Of (?:the |a |an |its |their |two |all )?\w+",
    "is no": r"(?<!\b[Tt]here )\b(?:is|are|was|were) no (?!longer\b|more\b|less\b|one\b|such\b)\w+",
    "so inversion": r"(?:(?<=[.;] )|^)So (?:are|is|do|does|did|has|have|can|must)\b",
    # Verbs that name nothing.
    "mend": r"\b[Mm]end(?:s|ed|ing)?\b",
    "tell": r"\b(?:tell|tells|told|telling)\b",
    "go by": r"\b(?:go|goes|going|went) (?:by|on)\b",
    "stand": r"\b(?:stands?|stood|standing) (?:in|on|at|there|upon|beside|where|before|after|"
    r"between|above|below)\b",
    "lie": r"\b(?:lies|lay|lying) (?:in|on|at|there|beside|where|between|under|here)\b",
    "learnt": r"\b(?:[Ll]earnt|[Ss]pelt)\b",
    "be said of": r"\b(?:is|are|was|be) said (?:of|to be|once)\b",
    "for nothing": r"\band that is nothing\b",
}

_COMPILED = {name: re.compile(pattern, re.MULTILINE) for name, pattern in PATTERNS.items()}


def _in_python(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the docstrings, longer strings and comments of a module with their lines."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _in_page(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a Markdown page with their lines, without blocks of code."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        if paragraph.strip():
            yield line, re.sub(r"`[^`]*`", "`…`", paragraph)
        line += paragraph.count("\n")


def findings(path: Path) -> Iterator[str]:
    """Yield the places of a file where a pattern occurs, as `path:line: name: text`."""
    reader = _in_page if path.suffix == ".md" else _in_python
    for line, text in reader(path):
        flat = re.sub(r"[ \t]*\n[ \t]*(?!\n)", " ", text)
        for name, pattern in _COMPILED.items():
            for match in pattern.finditer(flat):
                around = flat[max(0, match.start() - 30) : match.end() + 40]
                yield f"{path}:{line}: {name}: …{around}…"


def files(path: Path) -> list[Path]:
    """Return the modules and pages of a folder, or the file itself."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.suffix in (".py", ".md"))


if __name__ == "__main__":
    places = [f for name in sys.argv[1:] for path in files(Path(name)) for f in findings(path)]
    print("\n".join(places))
    print(f"{len(places)} places", file=sys.stderr)
