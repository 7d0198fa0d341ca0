"""What stands in several files of the repository says the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = ("CITATION.cff", "mkdocs.yml", ".github/ISSUE_TEMPLATE/config.yml", "CONTRIBUTING.md")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_address_of_the_repository() -> None:
    address = PROJECT["urls"]["Source"]
    for name in FILES:
        found = re.findall(r"https://github\.com/[\w.-]*napari-rls[\w./-]*", text(name))
        assert found, name
        assert all((one + "/").startswith(address + "/") for one in found), (name, found)


def test_one_version() -> None:
    assert f"\nversion: {PROJECT['version']}\n" in text("CITATION.cff")
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[1] == PROJECT["version"]


def test_every_workflow_is_validated_and_runs_environments_that_exist() -> None:
    tox = text("tox.ini")
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for path in workflows:
        name = path.relative_to(ROOT).as_posix()
        assert name in tox, f"tox's lint does not validate {name}"
        for names in re.findall(r"tox run -e (\S+)", text(name)):
            for env in names.split(","):
                assert f"[testenv:{env}]" in tox


def test_pre_commit_has_the_versions_of_tox() -> None:
    pins = dict(line.split("==") for line in text("constraints.txt").splitlines() if "==" in line)
    hooks = text(".pre-commit-config.yaml")
    assert f"rev: v{pins['ruff']}\n" in hooks
    assert f"rev: {pins['check-jsonschema']}\n" in hooks


def test_the_architecture_page_names_every_package() -> None:
    page = text("docs/architecture.md")
    source = ROOT / "src" / "napari_rls"
    for init in source.rglob("__init__.py"):
        package = init.parent.relative_to(source).as_posix()
        # The docks are one row.
        if package not in (".", "workflow") and not package.startswith("widgets/"):
            assert f"| `{package}` |" in page, package
