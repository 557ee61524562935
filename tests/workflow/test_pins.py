"""Lock, pyproject.toml, environment.yml and workflow/envs say the same."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.workflow.pins import FILES, ROOT, direct, environment, locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("file", FILES)
def test_environment_files_hold_the_locked_versions(file: str) -> None:
    assert (ROOT / file).read_text() == environment(FILES[file]), "run `make lock`"


@pytest.mark.parametrize("wanted", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
def test_lock_satisfies_pyproject(wanted: str) -> None:
    requirement = Requirement(wanted)
    assert Version(locked()[requirement.name.lower()]) in requirement.specifier


def test_packages_the_project_is_built_on_are_direct() -> None:
    for package in ("torch", "timm", "fvcore", "pandas", "seaborn", "scipy", "pycocotools", "snakemake"):
        assert package in direct()


def test_lock_is_hashed_and_names_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    pins = text.count("==") - text.count("python_full_version ==")
    assert text.count("--hash=sha256:") >= pins > 80
