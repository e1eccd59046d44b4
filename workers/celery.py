"""What `celery -A workers` finds."""

from __future__ import annotations

from understudy.errors import SettingsError
from workers.app import create_app
from workers.flower_guard import guard_flower
from workers.flower_page.hook import add_page
from workers.runtime import make_hooks

try:
    app = create_app(hooks_factory=make_hooks)
    guard_flower(app)
    add_page()
except SettingsError as error:
    # the sentences alone: a traceback would bury them
    raise SystemExit(str(error)) from None
