"""Virtual environments that tests install packages into."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path


def install(folder: Path, *packages: str | Path) -> Path:
    """Make a new environment in `folder` and install into it; returns its folder of programs.

    By uv, in seconds; where that fails, by pip, which has settings of its own (an index, a proxy).
    """
    venv.create(folder, clear=True, with_pip=True)
    programs = folder / "bin"
    named = [str(package) for package in packages]
    uv: list[str | Path] = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        programs / "python",
    ]
    done = subprocess.run([*uv, *named], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pip: list[str | Path] = [programs / "python", "-m", "pip", "install", "--quiet"]
        again = subprocess.run([*pip, *named], capture_output=True, text=True, check=False)
        assert again.returncode == 0, f"uv:\n{done.stderr}\npip:\n{again.stderr}"
    return programs
