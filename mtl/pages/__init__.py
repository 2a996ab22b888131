"""HTML pages in one file: no network, light and dark, for wide screens, phones and paper."""

from mtl.pages.page import render

__all__ = ["render"]
