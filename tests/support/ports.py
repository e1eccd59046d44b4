"""Ports on loopback."""

from __future__ import annotations

from workers.local_redis import free_port

__all__ = ["free_port", "free_ports"]


def free_ports(count: int) -> list[int]:
    """Find several free ports, no two alike."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)
