"""Bundles, which mtl-runtime reads without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtl.errors import MtlError


def load_bundle(path: Path) -> Any:
    """Return the `mtl_runtime.Model` of a bundle.

    Raises:
        MtlError: It is damaged, or mtl-runtime is not installed.
    """
    try:
        import mtl_runtime
    except ImportError:
        raise MtlError(
            f"{path}: only mtl-runtime reads bundles, and it is not installed; in the source "
            "folder of mtl, run: pip install ./runtime"
        ) from None
    try:
        return mtl_runtime.load(path)
    except (mtl_runtime.BundleError, mtl_runtime.MtlError) as error:
        raise MtlError(str(error)) from None
