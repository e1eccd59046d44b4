"""What `celery -A workers` finds."""

from __future__ import annotations

from workers.app import create_app
from workers.runtime import make_hooks

app = create_app(hooks_factory=make_hooks)
