"""From a template and values to a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return a page that needs no other file.

    All values are escaped except `Markup`, such as the charts of `mtl.pages.charts`.

    Args:
        template: A file in `mtl/pages/templates/`. Pages extend `base.html`, which needs a `title`;
            results in notebooks extend `fragment.html`.
        **values: The variables of the template.

    Raises:
        jinja2.UndefinedError: The template uses a variable without a value.
    """
    text = _environment().get_template(template).render(values)
    # Names of files may be no UTF-8, which is the encoding of all pages.
    return text.encode("utf-8", "replace").decode("utf-8")


def part(macro: str, *values: Any) -> Markup:
    """Return the result of a macro of `parts.html`."""
    return Markup(getattr(_environment().get_template("parts.html").module, macro)(*values))


def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = _file("style.css")
    environment.globals["script"] = _file("page.js")
    return environment
