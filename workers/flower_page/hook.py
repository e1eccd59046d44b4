"""The one file that reaches into Flower: its list of routes, its templates, its navigation.

It is written for one version of Flower: another one runs without the page, and a test says what differs.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from understudy.settings import Settings

FLOWER = "2.2.0"
"""The version that this was written for."""

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
STATIC = HERE / "static"

NAVIGATION = "navbar.html"
LAST_ENTRY = re.compile(r">Broker</a>\s*</li>")
"""Behind it the page's own entry stands."""

ENTRY = """
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'providers' %} active{% end %}"
            href="{{ reverse_url('providers') }}"
            {% if active_tab == 'providers' %}aria-current="page"{% end %}>Providers</a>
        </li>"""


RESULTS = r"/api/task/result/(.+)"
"""Flower's route that reads Celery's results: what a model wrote for a plain caller is for that caller alone."""


def add_page() -> None:
    """Add the page where the command that is about to run is `celery -A workers flower`; others are left alone.

    Celery imports the application after it has read which command it is to run, and before that command runs.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.invoked_subcommand != "flower":
        return
    if (found := version("flower")) != FLOWER:
        click.echo(f"The page Providers is left out: it needs Flower {FLOWER}, and {found} is installed.", err=True)
        return
    from understudy.settings import load_settings  # noqa: PLC0415 - a worker needs none of it

    add_to_flower(load_settings())


def add_to_flower(settings: Settings) -> None:
    """Put the page where the next `Flower` application of this process takes its routes and templates from."""
    from flower import urls  # noqa: PLC0415 - as above

    from workers.flower_page.installation import SETTING, Installation  # noqa: PLC0415 - as above

    kept = [row for row in urls.handlers if not (isinstance(row, tuple) and row[0] == RESULTS)]
    # The last one is the page for what is not found: it takes every path.
    urls.handlers[:] = [*kept[:-1], *routes(), kept[-1]]
    urls.settings["template_loader"] = make_loader(urls.settings["template_path"])
    urls.settings[SETTING] = Installation(settings)


def routes() -> list[Any]:
    """The page's routes; Flower puts its own prefix before them."""
    from tornado.web import url  # noqa: PLC0415 - as above

    from workers.flower_page import handlers  # noqa: PLC0415 - as above

    return [
        url(r"/providers", handlers.Page, name="providers"),
        url(r"/providers/api", handlers.Overview),
        url(r"/providers/api/act", handlers.Act),
        url(r"/providers/api/call/([^/]+)", handlers.Call),
        url(r"/providers/api/cause/([^/]+)", handlers.Cause),
        url(r"/providers/static/(.+)", handlers.Static, {"path": str(STATIC)}),
    ]


def with_entry(navigation: str) -> str:
    """Flower's navigation with the page's entry in it; as it was, where its last entry is not found."""
    return LAST_ENTRY.sub(lambda found: found.group() + ENTRY, navigation, count=1)


def make_loader(flower_templates: str) -> Any:
    """Loads Flower's templates, the navigation with one entry more, and the page's own."""
    from tornado.template import Loader, Template  # noqa: PLC0415 - as above

    class Templates(Loader):
        def _create_template(self, name: str) -> Template:
            own = TEMPLATES / name
            path = own if own.is_file() else Path(self.root) / name
            text = path.read_text(encoding="utf-8")
            return Template(with_entry(text) if name == NAVIGATION else text, name=name, loader=self)

    return Templates(flower_templates)
