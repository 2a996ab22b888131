"""`python -m mtl.ops`: which operators run, on which instructions, built how, or why not."""

from __future__ import annotations

import torch

from mtl.ops.pool import LIBRARY


def main() -> None:
    """Print the report."""
    rows = {"torch": f"{torch.__version__}, {torch.get_num_threads()} threads"}
    if LIBRARY.path:
        rows["cpu"] = f"compiled, for {LIBRARY.instruction_set}"
        rows["file"] = str(LIBRARY.path)
        rows["build"] = LIBRARY.build
    else:
        rows["cpu"] = f"plain torch: {LIBRARY.missing}"
    rows["cuda"] = "plain torch: there are no compiled operators for it"
    for name, value in rows.items():
        print(f"{name:6} {value}")


if __name__ == "__main__":
    main()
