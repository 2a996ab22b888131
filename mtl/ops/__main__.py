"""`python -m mtl.ops`: report the compiled operators, their instruction set and build flags."""

from __future__ import annotations

import torch

from mtl.ops.pool import CUDA_LIBRARY, LIBRARY


def main() -> None:
    """Print the operators of each device that this build of torch has, or why none is compiled."""
    rows = {"torch": f"{torch.__version__}, {torch.get_num_threads()} threads"}
    for name, value in rows.items():
        print(f"{name:6} {value}")
    libraries = {"cpu": LIBRARY} | ({"cuda": CUDA_LIBRARY} if torch.version.cuda else {})
    for device, library in libraries.items():
        print(f"{device:6} {library}")
        if library.path:
            print(f"  file   {library.path}\n  build  {library.build}")


if __name__ == "__main__":
    main()
