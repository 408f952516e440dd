"""Files that other programs read, checked against the schemas that check-jsonschema ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import check_jsonschema  # noqa: F401  # Its absence is then an error of the import, not of the file.

ROOT = Path(__file__).resolve().parent.parent


def schema_errors(name: str, file: Path) -> str:
    """The errors of `file` under the built-in schema `name`; empty if it is valid. Offline."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
