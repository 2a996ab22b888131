"""Builds the runtime for browsers, beside this file.

`mtl.wasm` has the compiled functions and needs Emscripten; it is kept if it is newer than all
sources. `style.css` is the style of all pages of mtl. `mtl.html` has the page with all its files,
so that a browser can open it from the disk.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
ROOT = WEB.parents[1]
COMPILED = WEB / "mtl.wasm"
WHOLE = WEB / "mtl.html"
STYLE = ROOT / "mtl" / "pages" / "style.css"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' data:; "
    "style-src 'unsafe-inline'; img-src data:; connect-src data:"
)
"""The policy of the page in one file: no network at all."""
SOURCES = (
    "runtime/csrc/runtime.cpp",
    "runtime/csrc/linear_base.cpp",
    "csrc/cpu/pool_base.cpp",
    "csrc/cpu/rows_base.cpp",
    "csrc/cpu/crf_base.cpp",
    "csrc/cpu/crf_log.cpp",
    "csrc/cpu/isa.cpp",
)
"""The sources, below the root of the repository: the loops for every processor."""
EXPORTED = (
    *("mtl_call", "mtl_error", "mtl_cell_packed_size", "mtl_linear_packed_size"),
    *("malloc", "free"),
)
FLAGS = [
    *("-std=c++17", "-O3", "-msimd128", "-fno-math-errno", "-fno-trapping-math", "-DNDEBUG"),
    *("-fwasm-exceptions", "-fvisibility=hidden", "-sSTANDALONE_WASM", "--no-entry"),
    *("-sALLOW_MEMORY_GROWTH", "-sFILESYSTEM=0", "-sMALLOC=emmalloc"),
    "-sEXPORTED_FUNCTIONS=" + ",".join(f"_{name}" for name in EXPORTED),
]
MISSING = "there is no Emscripten (emcc); on Debian and Ubuntu: apt-get install emscripten"


def is_current() -> bool:
    """Return whether the compiled file is newer than all files that it is made of."""
    folders = ("csrc", "csrc/cpu", "runtime/csrc", "runtime/include")
    files = [path for folder in folders for path in (ROOT / folder).iterdir() if path.is_file()]
    times = [path.stat().st_mtime for path in (*files, Path(__file__))]
    return COMPILED.is_file() and COMPILED.stat().st_mtime > max(times)


def build() -> None:
    """Compile the functions.

    Raises:
        FileNotFoundError: There is no Emscripten.
        subprocess.CalledProcessError: The compiler has reported errors.
    """
    compiler = shutil.which("emcc")
    if compiler is None:
        raise FileNotFoundError(MISSING)
    # A process that is stopped leaves no half-written file.
    temporary = COMPILED.with_suffix(f".{os.getpid()}.wasm")
    includes = [f"-I{ROOT / folder}" for folder in ("runtime/include", "csrc")]
    sources = [str(ROOT / source) for source in SOURCES]
    try:
        command = [compiler, *FLAGS, *includes, *sources, "-o", str(temporary)]
        subprocess.run(command, check=True)
        temporary.replace(COMPILED)
    finally:
        temporary.unlink(missing_ok=True)


def as_address(content: bytes, kind: str) -> str:
    """Return the content of a file as an address of the form data:…."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def replaced(text: str, old: str, new: str) -> str:
    """Return a text with another part, which has to be there once.

    Raises:
        ValueError: The part is not there once.
    """
    if text.count(old) != 1:
        raise ValueError(f"expected {old!r} once, found it {text.count(old)} times")
    return text.replace(old, new)


def one_file() -> str:
    """Return the page with its styles, modules and compiled functions."""
    imports = {}
    for path in sorted(WEB.glob("*.js")):
        # A module from an address of the form data:… has no folder that names could refer to.
        text = path.read_text(encoding="utf-8").replace(' from "./', ' from "mtl/')
        if path.name == "mtl.js":
            compiled = as_address(COMPILED.read_bytes(), "application/wasm")
            text = replaced(text, '"./mtl.wasm", import.meta.url', json.dumps(compiled))
        imports[f"mtl/{path.name}"] = as_address(text.encode(), "text/javascript")
    page = (WEB / "index.html").read_text(encoding="utf-8")
    policies = re.findall(r'content="(default-src [^"]*)"', page)
    page = replaced(page, policies[0], POLICY)
    for name, style in (("style.css", STYLE), ("page.css", WEB / "page.css")):
        link = f'<link rel="stylesheet" href="{name}" />'
        page = replaced(page, link, f"<style>\n{style.read_text(encoding='utf-8')}</style>")
    script = (
        f'<script type="importmap">{json.dumps({"imports": imports})}</script>\n'
        '    <script type="module">import "mtl/page.js";</script>'
    )
    return replaced(page, '<script type="module" src="page.js"></script>', script)


def main() -> None:
    """Build all files.

    Raises:
        FileNotFoundError: There is no Emscripten.
        subprocess.CalledProcessError: The compiler has reported errors.
    """
    if not is_current():
        build()
    shutil.copyfile(STYLE, WEB / "style.css")
    WHOLE.write_text(one_file(), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    for file in (COMPILED, WHOLE):
        print(f"{file}: {file.stat().st_size:,} bytes")
