"""A stand-in provider: an OpenAI-compatible server without a model, whose misbehaviour is an argument.

`StandIn` runs inside an asyncio program, `python -m workers.stand_in` as a process, `StandInProcess` starts and steers
such a process from synchronous code. Every answer says that it is a stand-in's.
"""

from __future__ import annotations

from workers.stand_in.fate import Fate, FateError
from workers.stand_in.port import PortError
from workers.stand_in.process import StandInProcess, StandInProcessError
from workers.stand_in.server import StandIn

__all__ = ["Fate", "FateError", "PortError", "StandIn", "StandInProcess", "StandInProcessError"]
