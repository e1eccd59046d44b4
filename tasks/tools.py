"""How a function becomes a tool, for the modules that UNDERSTUDY_TOOLS names."""

from __future__ import annotations

from workers.tools import ToolDefinitionError, ToolError, tool

__all__ = ["ToolDefinitionError", "ToolError", "tool"]
