"""Assemble an OpenSearch node from Maven Central, for machines without Docker.

The node is a folder: `lib/` (the server), `modules/` and `plugins/` (k-NN, ML, neural search). It
is made once per user and version, and appears in the cache folder when it is complete.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from xml.sax.saxutils import escape

from qtr_rerank.atomic import delete_unfinished, replacing_folder
from qtr_rerank.errors import QtrError

VERSION = "2.19.1"
_PLUGIN_VERSION = f"{VERSION}.0"
# The server's pom omits log4j-core; its version must be that of the server's log4j-api.
_LOG4J_VERSION = "2.21.0"
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_MAVEN_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class _Module:
    """A module that OpenSearch's distribution contains, with the values of its descriptor."""

    artifact: str
    class_name: str
    version: str = VERSION
    extends: str = ""

    @property
    def name(self) -> str:
        return self.artifact.removesuffix("-client")


_MODULES = (
    _Module("transport-netty4-client", "org.opensearch.transport.Netty4Plugin"),
    _Module("lang-painless", "org.opensearch.painless.PainlessPlugin"),
    _Module(
        "analysis-common",
        "org.opensearch.analysis.common.CommonAnalysisPlugin",
        extends="lang-painless",
    ),
    _Module(
        "ingest-common", "org.opensearch.ingest.common.IngestCommonPlugin", extends="lang-painless"
    ),
    _Module("lang-expression", "org.opensearch.script.expression.ExpressionPlugin"),
    _Module("lang-mustache-client", "org.opensearch.script.mustache.MustachePlugin"),
    _Module("mapper-extras-client", "org.opensearch.index.mapper.MapperExtrasPlugin"),
    _Module("parent-join-client", "org.opensearch.join.ParentJoinPlugin"),
    _Module("percolator-client", "org.opensearch.percolator.PercolatorPlugin"),
    _Module("rank-eval-client", "org.opensearch.index.rankeval.RankEvalPlugin"),
    _Module("reindex-client", "org.opensearch.index.reindex.ReindexPlugin"),
    _Module(
        "aggs-matrix-stats-client",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationPlugin",
    ),
    _Module("geo", "org.opensearch.geo.GeoModulePlugin"),
    _Module(
        "search-pipeline-common",
        "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin",
        # 2.19.1 was not published; 2.19.0 has oversample and truncate_hits.
        version="2.19.0",
    ),
)
_PLUGINS = ("opensearch-job-scheduler", "opensearch-knn", "opensearch-ml-plugin", "neural-search")
# 304 MB that only models inside the node use, on a GPU.
_UNUSED_JARS = "onnxruntime_gpu-*.jar"


def home_in(cache: Path) -> Path:
    """The folder that `assemble` makes; if it exists, it is complete."""
    return cache / f"opensearch-{VERSION}"


def assemble(cache: Path) -> Path:
    """The folder of the node, assembled if it is missing (a download of about 450 MB).

    Raises QtrError if Maven is missing or its download fails.
    """
    home = home_in(cache)
    if home.is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".{home.name}.lock"):
        if home.is_dir():  # Another process made it while this one waited.
            return home
        delete_unfinished(cache, home.name)
        with replacing_folder(home) as unfinished:
            _assemble(unfinished)
    return home


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process ends, even if it is killed."""
    try:
        import fcntl
    except ImportError:
        raise QtrError(
            "a node can be assembled on Linux and macOS only; start Docker to run one"
        ) from None
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _assemble(home: Path) -> None:
    """Download with Maven into temporary folders of `home`, and lay out the node in `home`."""
    poms, fetched = home / "poms", home / "fetched"
    _write_poms(poms, fetched)
    _run_maven(poms)
    (fetched / "lib").rename(home / "lib")
    in_lib = {jar.name for jar in (home / "lib").iterdir()}
    for module in _MODULES:
        folder = home / "modules" / module.name
        folder.mkdir(parents=True)
        base = {jar.name for jar in (fetched / module.extends).iterdir()} if module.extends else ()
        for jar in sorted((fetched / module.name).iterdir()):
            # The node refuses to start if two class paths have the same class.
            if jar.name not in in_lib and jar.name not in base:
                shutil.copy(jar, folder)
        (folder / "plugin-descriptor.properties").write_text(_descriptor(module), encoding="utf-8")
    for name in _PLUGINS:
        folder = home / "plugins" / name
        [archive] = (fetched / name).glob("*.zip")
        with zipfile.ZipFile(archive) as plugin:
            used = [name for name in plugin.namelist() if not fnmatch(name, _UNUSED_JARS)]
            plugin.extractall(folder, used)
    for temporary in (poms, fetched):
        shutil.rmtree(temporary)


def _write_poms(poms: Path, fetched: Path) -> None:
    """Write a Maven project for each part, with the part as its dependencies, and one for all.

    Each module has a class loader of its own, so its jars are resolved separately.
    """
    server = [
        _dependency("org.opensearch", "opensearch", VERSION),
        _dependency("org.opensearch", "opensearch-plugin-classloader", VERSION),
        _dependency("org.apache.logging.log4j", "log4j-core", _LOG4J_VERSION),
    ]
    group = "org.opensearch.plugin"
    parts = {"lib": (server, False)}
    for module in _MODULES:
        parts[module.name] = ([_dependency(group, module.artifact, module.version)], False)
    for name in _PLUGINS:
        parts[name] = ([_dependency(group, name, _PLUGIN_VERSION, kind="zip")], True)
    for name, (dependencies, alone) in parts.items():
        # dependency:copy-dependencies reads its arguments from these properties.
        properties = (
            f"<properties><outputDirectory>{escape(str(fetched / name))}</outputDirectory>"
            f"<includeScope>runtime</includeScope>"
            f"<excludeTransitive>{str(alone).lower()}</excludeTransitive></properties>"
        )
        body = f"{properties}<dependencies>{''.join(dependencies)}</dependencies>"
        _write_pom(poms / name, name, body)
    modules = "".join(f"<module>{name}</module>" for name in parts)
    # The project of all parts has no dependencies to copy.
    skip = "<properties><mdep.skip>true</mdep.skip></properties>"
    _write_pom(poms, "parts", f"{skip}<modules>{modules}</modules>")


def _write_pom(folder: Path, name: str, body: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        f"<groupId>qtr-rerank.node</groupId><artifactId>part-{name}</artifactId>"
        f"<version>1</version><packaging>pom</packaging>{body}</project>\n",
        encoding="utf-8",
    )


def _dependency(group: str, artifact: str, version: str, kind: str = "jar") -> str:
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version><type>{kind}</type></dependency>"
    )


def _descriptor(module: _Module) -> str:
    return (
        f"name={module.name}\n"
        f"description={module.name}, from Maven Central\n"
        f"version={VERSION}\n"
        f"opensearch.version={VERSION}\n"
        "java.version=11\n"
        f"classname={module.class_name}\n"
        "custom.foldername=\n"
        f"extended.plugins={module.extends}\n"
        "has.native.controller=false\n"
    )


def _run_maven(poms: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise QtrError(
            "no OpenSearch node can be assembled: Maven (mvn) is not on the PATH; "
            "install it (Debian: apt-get install maven), or start Docker"
        )
    # Without strict checksums (-C): Maven Central has none for the plugins' zips. Unpacking checks
    # their CRCs.
    options = ["-q", "-B", "-Dstyle.color=never"]
    command = [maven, *options, f"{_DEPENDENCY_PLUGIN}:copy-dependencies"]
    try:
        done = subprocess.run(
            command,
            cwd=poms,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_MAVEN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise QtrError(
            f"Maven had not fetched OpenSearch {VERSION} after {_MAVEN_SECONDS} s; "
            "check that Maven Central can be reached, and try again"
        ) from None
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise QtrError(
            f"Maven could not fetch OpenSearch {VERSION} (exit status {done.returncode}); "
            f"check that Maven Central can be reached, and try again. Its output ends:\n{tail}"
        )
