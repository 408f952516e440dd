"""Plug in: what this machine has to run an OpenSearch node with: Docker, or Java and Maven."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.environment import cache_folder, java_home
from qtr_rerank.errors import QtrError
from qtr_rerank.opensearch.assemble import home_in


@dataclass(frozen=True, slots=True)
class Java:
    """A JDK's `java`, and its version, such as 17."""

    path: Path
    version: int


def find_java() -> Java:
    """JAVA_HOME's Java, else that on the PATH. Raises QtrError where it is not a JDK from 17."""
    home = java_home()
    found = shutil.which("java", path=str(home / "bin") if home else None)
    if found is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise QtrError(f"Java is not {where}")
    told = subprocess.run(
        [found, "-XshowSettings:properties", "-version"], capture_output=True, text=True
    ).stderr
    number = re.search(r"java\.specification\.version = (\d+)", told)
    if number is None or int(number[1]) < 17:
        raise QtrError(f"Java at {found} is older than 17")
    modules = subprocess.run([found, "--list-modules"], capture_output=True, text=True).stdout
    if "jdk.compiler" not in modules:
        raise QtrError(f"Java at {found} is a runtime without its compiler, not a JDK")
    return Java(Path(found), int(number[1]))


def missing_for_a_node() -> str:
    """What this machine lacks to run a node, in one line with the remedy; empty if it has all."""
    if docker_answers():
        return ""
    lacks = []
    try:
        find_java()
    except QtrError as error:
        lacks.append(str(error))
    if not home_in(cache_folder()).is_dir() and shutil.which("mvn") is None:
        lacks.append("Maven (mvn) is not on the PATH")
    if not lacks:
        return ""
    return (
        f"no OpenSearch node can be started here: no Docker engine answers, and "
        f"{', and '.join(lacks)}; start Docker, or install a JDK from 17 and Maven "
        "(Debian: apt-get install openjdk-17-jdk-headless maven)"
    )


def docker_answers() -> bool:
    """Whether there is a Docker client with an engine behind it."""
    return shutil.which("docker") is not None and succeeds(["docker", "info"], timeout=30)


def succeeds(command: list[str], timeout: float | None = None) -> bool:
    """Run a command for its exit status alone."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
