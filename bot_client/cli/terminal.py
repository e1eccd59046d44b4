"""Where tables for people are printed."""

from __future__ import annotations

import os

from rich.console import Console

UNWRAPPED = 1_000
"""Columns where nobody looks: what a program reads is not wrapped."""


def console() -> Console:
    """Standard output: in colour and as wide as the terminal for people, plain and unwrapped for programs."""
    out = Console(markup=False, emoji=False, highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = UNWRAPPED
    return out
