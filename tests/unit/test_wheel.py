"""The wheel: what a bot installs is what both sides agree on and the client, nothing of the application."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("understudy", "bot_client", "workers", "tasks", "tests")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the checkout, so that nothing left by an older build gets in."""
    copy = tmp_path_factory.mktemp("source")
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bot_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and its dependencies, and not this checkout.

    The dependencies are those of the running environment, lent by path: the test needs no network. A path file inside
    a lent folder is not followed, so the editable checkout stays out.
    """
    folder = tmp_path_factory.mktemp("bot")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*install, wheel, cwd=folder)
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    return python


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_two_packages_and_its_metadata_only(wheel: Path) -> None:
    top = {name.split("/")[0] for name in names(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == {"understudy", "bot_client"}
    assert len(top) == 3


def test_it_holds_every_module_of_them_and_no_other_kind_of_file(wheel: Path) -> None:
    for package in ("understudy", "bot_client"):
        here = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        there = {name for name in names(wheel) if name.startswith(f"{package}/")}
        assert {name for name in there if name.endswith(".py")} == here
        assert {Path(name).suffix for name in there} <= {".py", ".lua", ".html", ".typed"}


def test_it_holds_every_lua_script(wheel: Path) -> None:
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "understudy").rglob("*.lua")}
    assert {name for name in names(wheel) if name.endswith(".lua")} == here


def test_it_says_that_it_is_typed_and_carries_its_licence(wheel: Path) -> None:
    assert {"understudy/py.typed", "bot_client/py.typed"} <= names(wheel)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names(wheel))


@pytest.mark.parametrize("package", ["understudy", "bot_client"])
def test_its_packages_can_be_imported_where_nothing_else_of_ours_is(bot_python: Path, package: str) -> None:
    found = run(bot_python, "-c", f"import {package}; print({package}.__file__)", cwd=bot_python.parent)
    assert Path(found.strip()).is_relative_to(bot_python.parents[1])


@pytest.mark.parametrize("package", ["workers", "tasks", "tests"])
def test_the_application_is_not_in_it(bot_python: Path, package: str) -> None:
    look = f"import importlib.util as u; print(u.find_spec({package!r}))"
    assert run(bot_python, "-c", look, cwd=bot_python.parent).strip() == "None"
