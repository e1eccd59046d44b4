"""A module of tools that cannot be loaded."""

from __future__ import annotations

from tasks.tools import tool


@tool
def nameless(city: str) -> str:
    return city
