"""docs/deploying.md names what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from tests.support import compose
from tests.support.snippets import snippets
from understudy.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
WORDS = [word for snippet in snippets("docs/deploying.md") for word in shlex.split(snippet.text)]


def first_column(header: str) -> set[str]:
    lines = GUIDE.splitlines()
    rows = lines[lines.index(header) + 2 :]
    cells = [line.split("|")[1] for line in rows[: next(n for n, line in enumerate(rows) if not line.startswith("|"))]]
    return set(re.findall(r"`([\w-]+)`", " ".join(cells)))


def test_it_says_what_each_service_is_for() -> None:
    assert first_column("| service | what it is for | address on this host |") == set(compose.services())


def test_it_has_every_profile() -> None:
    profiles = {profile for service in compose.services().values() for profile in service.get("profiles", [])}
    assert first_column("| profile | what it adds |") == profiles


def test_its_commands_name_files_services_and_resources_that_exist() -> None:
    resources = {
        f"{document['kind'].lower()}/{document['metadata']['name']}"
        for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    }
    named = [word.removeprefix("--from-file=") for word in WORDS if "deploy/" in word and not word.startswith("s#")]
    made = {f"deploy/secrets/{name}" for name in compose.document()["secrets"]}
    assert [path for path in named if path not in made and not list(ROOT.glob(path.rstrip("/")))] == []
    assert {word for word in WORDS if word.startswith(("worker-", "deployment/"))} <= {*compose.services(), *resources}


def test_the_keys_of_the_secret_are_those_that_the_manifests_mount() -> None:
    given = {Path(word).name for word in WORDS if word.startswith("--from-file=")}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml")]
    assert given == {key for text in texts for key in re.findall(r"- key: (\w+)\n\s+path: \1", text)}


def test_the_ports_that_it_moves_are_those_of_the_compose_file() -> None:
    moved = set(re.findall(r"`(\w+_PORT)`", GUIDE))
    assert moved == set(re.findall(r"\$\{(\w+_PORT):-", compose.FILE.read_text(encoding="utf-8")))


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", GUIDE)
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_the_settings_that_its_file_shows_exist() -> None:
    shown = next(snippet.text for snippet in snippets("docs/deploying.md") if snippet.language == "text")
    names = {line.partition("=")[0] for line in shown.splitlines()} - {"COMPOSE_PROFILES"}
    assert names <= {name.upper() for name in Settings.model_fields}
