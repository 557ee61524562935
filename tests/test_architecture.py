"""The floors hold, and the check that says so can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINT = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command as lint; lint()"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_floors_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_planted_violations_fail(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "replication", tmp_path / "replication")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    card, page = tmp_path / "replication/papers/vit.py", tmp_path / "replication/report/page/index.py"
    card.write_text(card.read_text() + "\nimport torch\n")
    page.write_text(page.read_text() + "\nimport replication.training\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    assert "replication.papers.vit -> torch" in done.stdout
    assert "replication.report.page.index -> replication.training" in done.stdout


def test_cards_load_without_torch() -> None:
    code = (
        "import sys, replication.papers as p; p.read_cards(); sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
