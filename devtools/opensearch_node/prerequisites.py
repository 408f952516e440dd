"""The requirements to run an OpenSearch node: Docker, or a JDK and Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devtools.opensearch_node.assemble import home_in
from qtr_rerank.environment import cache_folder
from qtr_rerank.errors import QtrError


@dataclass(frozen=True, slots=True)
class Java:
    """A JDK's `java`, and its version, such as 17."""

    path: Path
    version: int


def find_java() -> Java:
    """The `java` of JAVA_HOME, else of the PATH. Raises QtrError unless it is a JDK from 17 on."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if program is None:
        where = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise QtrError(f"Java is not {where}")
    properties = subprocess.run(
        [program, "-XshowSettings:properties", "-version"], capture_output=True, text=True
    ).stderr
    version = re.search(r"java\.specification\.version = (\d+)", properties)
    if version is None or int(version[1]) < 17:
        raise QtrError(f"Java at {program} is older than 17")
    modules = subprocess.run([program, "--list-modules"], capture_output=True, text=True).stdout
    if "jdk.compiler" not in modules:
        raise QtrError(f"Java at {program} is a runtime without its compiler, not a JDK")
    return Java(Path(program), int(version[1]))


def missing_prerequisites() -> str:
    """The missing requirements of a node in one line with the remedy; empty if none is missing."""
    if docker_answers():
        return ""
    missing = []
    try:
        find_java()
    except QtrError as error:
        missing.append(str(error))
    if not home_in(cache_folder()).is_dir() and shutil.which("mvn") is None:
        missing.append("Maven (mvn) is not on the PATH")
    if not missing:
        return ""
    return (
        f"no OpenSearch node can be started here: Docker does not respond, and "
        f"{', and '.join(missing)}; start Docker, or install a JDK from 17 and Maven "
        "(Debian: apt-get install openjdk-17-jdk-headless maven)"
    )


def docker_answers() -> bool:
    """Whether there is a Docker client whose engine responds."""
    return shutil.which("docker") is not None and succeeds(["docker", "info"], timeout=30)


def succeeds(command: list[str], timeout: float | None = None) -> bool:
    """Run a command; whether its exit status is 0."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
