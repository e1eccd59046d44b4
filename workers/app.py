"""The Celery application of the workers, wired in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery import Celery

from workers.hooks import HooksFactory, use_hooks

if TYPE_CHECKING:
    from understudy.settings import Settings


def create_app(settings: Settings | None = None, hooks_factory: HooksFactory | None = None) -> Celery:
    """The application, from `celeryconfig`.

    Args:
        settings: instead of those of the environment.
        hooks_factory: makes the hooks of a worker process when it starts; none by default.

    Raises:
        SettingsError: a setting is wrong.
    """
    import celeryconfig  # noqa: PLC0415 - it reads the settings

    app = Celery("understudy", task_cls="workers.base_task:CallTask")
    app.config_from_object(celeryconfig)
    if settings is not None:
        app.conf.update(celeryconfig.from_settings(settings))
    if hooks_factory is not None:
        use_hooks(app, hooks_factory)
    return app
