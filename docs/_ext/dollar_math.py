"""Formulas between dollar signs in docstrings, set as formulas."""

import re
from typing import Any

from sphinx.application import Sphinx


def convert(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn ``$x$`` into ``:math:`x``` within each line."""
    lines[:] = [re.sub(r"\$([^$\s](?:[^$]*[^$\s])?)\$", r":math:`\1`", line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the conversion."""
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True}
