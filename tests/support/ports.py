"""Ports on loopback."""

from __future__ import annotations

from workers.local_redis import free_port, free_ports

__all__ = ["free_port", "free_ports"]
