"""The hook into Flower fits the Flower that is installed; where one of these fails, look at what Flower has changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from flower import urls
from flower.views import BaseHandler
from flower.views.error import NotFoundErrorHandler
from tornado.routing import URLSpec

from workers.flower_page import hook

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(urls.settings["template_path"])
CHANGED = f"the page was written for Flower {hook.FLOWER}: read what has changed, and mend workers/flower_page/hook.py"


def text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def test_flower_is_pinned_to_the_version_that_the_page_is_written_for() -> None:
    ops = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"][
        "ops"
    ]
    assert f"flower=={hook.FLOWER}" in ops
    assert f"\nflower=={hook.FLOWER} " in (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert version("flower") == hook.FLOWER, CHANGED


def test_flowers_last_route_takes_every_path_and_no_other_one_takes_ours() -> None:
    last = urls.handlers[-1]
    assert last[:2] == (r".*", NotFoundErrorHandler), CHANGED
    patterns = [each.regex.pattern if isinstance(each, URLSpec) else each[0] for each in urls.handlers[:-1]]
    ours = ("/providers", "/providers/api", "/providers/api/act", "/providers/static/providers.js")
    assert [(pattern, path) for pattern in patterns for path in ours if re.fullmatch(pattern, path)] == [], CHANGED


def test_flower_has_the_route_for_results_that_is_left_out() -> None:
    assert hook.RESULTS in [each[0] for each in urls.handlers if isinstance(each, tuple)], CHANGED


def test_flower_takes_routes_and_settings_from_where_they_are_put() -> None:
    source = (TEMPLATES.parent / "app.py").read_text(encoding="utf-8")
    assert "from .urls import handlers as default_handlers" in source, CHANGED
    assert "handlers = default_handlers" in source, CHANGED
    command = (TEMPLATES.parent / "command.py").read_text(encoding="utf-8")
    assert "from .urls import settings" in command, CHANGED
    assert "Flower(capp=app, options=options, **settings)" in command, CHANGED


def test_flowers_handlers_have_what_ours_build_on() -> None:
    own = vars(BaseHandler)
    expected = {"set_default_headers", "get_current_user", "check_xsrf_cookie", "write_error", "render"}
    assert own.keys() >= expected, CHANGED


def test_the_navigation_has_the_page_once_behind_flowers_own() -> None:
    before, after = text(hook.NAVIGATION), hook.with_entry(text(hook.NAVIGATION))
    assert len(hook.LAST_ENTRY.findall(before)) == 1, CHANGED
    assert (before.count("Providers"), after.count("Providers")) == (0, 1), CHANGED
    assert after.replace(hook.ENTRY, "") == before
    names = re.findall(r">(\w+)</a>\s*</li>", after)
    assert names[:4] == ["Workers", "Tasks", "Broker", "Providers"], CHANGED


def test_a_navigation_that_is_not_known_stays_as_it_is() -> None:
    assert hook.with_entry("<nav></nav>") == "<nav></nav>"


def test_the_layout_has_the_places_that_the_page_fills() -> None:
    page = (hook.TEMPLATES / "providers.html").read_text(encoding="utf-8")
    blocks = set(re.findall(r"{% block (\w+) %}", page))
    assert blocks <= set(re.findall(r"{% block (\w+) %}", text("base.html"))), CHANGED
    assert '{% extends "base.html" %}' in page


@pytest.mark.parametrize("name", ["workers.html", "tasks.html", "broker.html", "404.html", "providers.html"])
def test_every_page_is_made_with_the_new_navigation(name: str) -> None:
    loader = hook.make_loader(str(TEMPLATES))
    assert loader.load(name).code
    assert "reverse_url('providers')" in loader.load(hook.NAVIGATION).code


def test_another_version_of_flower_runs_without_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hook, "FLOWER", "1.9.9")
    before = list(urls.handlers)
    with click.Context(click.Command("celery")) as context:
        context.invoked_subcommand = "flower"
        hook.add_page()
    assert urls.handlers == before
    said = f"The page Providers is left out: it needs Flower 1.9.9, and {version('flower')} is installed.\n"
    assert capsys.readouterr().err == said


def test_a_command_other_than_flower_is_left_alone() -> None:
    code = (
        "import sys, workers.celery\n"
        "from workers.flower_page.hook import add_page\n"
        "add_page()\n"
        "assert 'flower.urls' not in sys.modules and 'tornado' not in sys.modules, 'something was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
