"""Plug in: assemble an OpenSearch node from Maven Central, for machines without Docker.

The node is a folder: `lib/` (the server), `modules/` and `plugins/` (k-NN, ML, neural search).
It is made once per user and version, in a temporary folder that is renamed when it is whole.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from xml.sax.saxutils import escape

from qtr_rerank.errors import QtrError

VERSION = "2.19.1"
_PLUGIN_VERSION = f"{VERSION}.0"
# The server's own pom leaves log4j-core out; it has to be of the version of its log4j-api.
_LOG4J_VERSION = "2.21.0"
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_MAVEN_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class _Module:
    """A module of the server, which its distribution would hold, with its descriptor's values."""

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
        # 2.19.1 was never published; 2.19.0 carries oversample and truncate_hits.
        version="2.19.0",
    ),
)
_PLUGINS = ("opensearch-job-scheduler", "opensearch-knn", "opensearch-ml-plugin", "neural-search")
# 304 MB that only models run inside the node on a GPU would use.
_UNUSED_JARS = "onnxruntime_gpu-*.jar"


def home_in(cache: Path) -> Path:
    """Where `assemble` leaves the node; a folder of this name is always whole."""
    return cache / f"opensearch-{VERSION}"


def assemble(cache: Path) -> Path:
    """The assembled node's folder; made first where it is not there (about 450 MB of download).

    Raises QtrError where Maven is missing or cannot fetch what it needs.
    """
    home = home_in(cache)
    if home.is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f".opensearch-{VERSION}.lock"):
        if home.is_dir():  # Another process made it while this one waited.
            return home
        for left in cache.glob(f".opensearch-{VERSION}-*"):
            shutil.rmtree(left)  # We hold the lock: whoever made it was interrupted.
        stage = Path(tempfile.mkdtemp(prefix=f".opensearch-{VERSION}-", dir=cache))
        try:
            _assemble(stage)
            (stage / "home").rename(home)
        finally:
            shutil.rmtree(stage)
    return home


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system lets go when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:
        raise QtrError(
            "a node can be assembled on Linux and macOS only; start Docker to run one here"
        ) from None
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _assemble(stage: Path) -> None:
    """Fetch with Maven into stage/fetched, lay out in stage/home."""
    poms, fetched, home = stage / "poms", stage / "fetched", stage / "home"
    _write_poms(poms, fetched)
    _run_maven(poms)
    home.mkdir()
    (fetched / "lib").rename(home / "lib")
    in_lib = {jar.name for jar in (home / "lib").iterdir()}
    for module in _MODULES:
        folder = home / "modules" / module.name
        folder.mkdir(parents=True)
        base = {jar.name for jar in (fetched / module.extends).iterdir()} if module.extends else ()
        for jar in sorted((fetched / module.name).iterdir()):
            # The node refuses to start where two class paths hold one class.
            if jar.name not in in_lib and jar.name not in base:
                shutil.copy(jar, folder)
        (folder / "plugin-descriptor.properties").write_text(_descriptor(module), encoding="utf-8")
    for name in _PLUGINS:
        folder = home / "plugins" / name
        [archive] = (fetched / name).glob("*.zip")
        with zipfile.ZipFile(archive) as plugin:
            used = [name for name in plugin.namelist() if not fnmatch(name, _UNUSED_JARS)]
            plugin.extractall(folder, used)


def _write_poms(poms: Path, fetched: Path) -> None:
    """One project that lists the parts, and a project a part, whose dependencies are the part.

    Apart, because each module's jars are resolved on their own, as its class loader is its own.
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
        # dependency:copy-dependencies reads these as its arguments.
        properties = (
            f"<properties><outputDirectory>{escape(str(fetched / name))}</outputDirectory>"
            f"<includeScope>runtime</includeScope>"
            f"<excludeTransitive>{str(alone).lower()}</excludeTransitive></properties>"
        )
        body = f"{properties}<dependencies>{''.join(dependencies)}</dependencies>"
        _write_pom(poms / name, name, body)
    modules = "".join(f"<module>{name}</module>" for name in parts)
    # The listing project has no dependencies of its own to copy.
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
    # Not strict about checksums (-C): the plugins' zips have none there. Unpacking checks those.
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
            "see whether Maven Central is reached, and run this again"
        ) from None
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise QtrError(
            f"Maven could not fetch OpenSearch {VERSION} (exit status {done.returncode}); "
            f"see whether Maven Central is reached, and run this again. It said:\n{tail}"
        )
