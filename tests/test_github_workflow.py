""".github/workflows/ci.yml: its schema, least permissions, and that it runs what make has."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.schema import ROOT, schema_errors

FILE = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOW: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_workflow_follows_githubs_schema() -> None:
    assert schema_errors("vendor.github-workflows", FILE) == ""


def test_workflow_may_only_read_the_repository() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in WORKFLOW["jobs"].values())


def test_actions_are_githubs_own_with_a_major_version() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used), used


def test_make_targets_of_the_workflow_exist() -> None:
    commands = "\n".join(step.get("run", "") for step in STEPS)
    called = set(re.findall(r"\bmake ([a-z-]+)", commands))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"test", "test-lowest"} <= called <= targets


def test_workflow_starts_with_the_lowest_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = project["requires-python"].removeprefix(">=")
    for job in ("test", "wheel"):
        assert WORKFLOW["jobs"][job]["strategy"]["matrix"]["python"][0] == lowest
