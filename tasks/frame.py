"""The frame around what users wrote; see `workers.frame`."""

from __future__ import annotations

from workers.frame import framed, quoted

__all__ = ["framed", "quoted"]
