"""Builds what a recipe says, once: into a new folder that is renamed when it is complete."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from .commands import capture, run_logged
from .locks import locked
from .progress import say
from .recipes import BY_NAME, STAGING, Recipe, program_path
from .toolchain import go_program

SOURCES = Path(__file__).parent / "go"
FAKE_MODULE = "tools"
GO_CACHE = "go-build"


def ensure(cache: Path, names: Iterable[str]) -> None:
    """Build every named recipe that is not in the cache, telling which and how long it took."""
    wanted = [BY_NAME[name] for name in names]
    if not _missing(cache, wanted):
        return
    with locked(cache / "locks" / "builds", "building programs"):
        _build_all(cache, _missing(cache, wanted))
        tidy(cache)


def tidy(cache: Path) -> None:
    """Remove what Go compiled once every program is there: 7 GB that only new versions need."""
    if not _missing(cache, BY_NAME.values()):
        shutil.rmtree(cache / GO_CACHE, ignore_errors=True)


def _missing(cache: Path, recipes: Iterable[Recipe]) -> list[Recipe]:
    return [
        recipe
        for recipe in recipes
        if not all(program_path(cache, program).exists() for program, _ in recipe.programs)
    ]


def _build_all(cache: Path, missing: list[Recipe]) -> None:
    for number, recipe in enumerate(missing, 1):
        begun = time.monotonic()
        say(f"building {recipe.name} {recipe.version} ({number} of {len(missing)}) ...")
        build(cache, recipe)
        say(f"built {recipe.name} in {time.monotonic() - begun:.0f} s")


def build(cache: Path, recipe: Recipe) -> None:
    """Build one recipe into its cache folder; whole or not at all."""
    target = cache / "bin" / recipe.key
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        work, out = Path(folder) / "src", Path(folder) / "out"
        work.mkdir()
        out.mkdir()
        log = cache / "logs" / f"build-{recipe.name}.log"
        go = _Go(str(go_program(cache)), work, log, {"GOCACHE": str(cache / GO_CACHE)})
        _prepare(go, recipe)
        for program, package in recipe.programs:
            flags = ["-trimpath", "-ldflags", recipe.ldflags, "-o", str(out / program)]
            go.run("build", "-mod=mod", *flags, package)
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)


def module_folder(cache: Path, recipe: Recipe) -> Path:
    """Where Go keeps the module's files (manifests, CRDs), downloaded if needed."""
    with tempfile.TemporaryDirectory() as folder:
        go = _Go(str(go_program(cache)), Path(folder), cache / "logs" / f"{recipe.name}.log")
        return go.download(recipe)


class _Go:
    """The go program in one work folder."""

    def __init__(
        self,
        program: str,
        work: Path,
        log: Path,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.work = work
        self._program = program
        self._log = log
        self._env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", **variables}

    def run(self, *arguments: str) -> None:
        label = f"go {arguments[0]}"
        run_logged([self._program, *arguments], self._log, label, cwd=self.work, env=self._env)

    def download(self, recipe: Recipe) -> Path:
        wanted = f"{recipe.module}@{recipe.version}"
        answer = capture([self._program, "mod", "download", "-json", wanted], env=self._env)
        return Path(json.loads(answer)["Dir"])


def _prepare(go: _Go, recipe: Recipe) -> None:
    if recipe.kind == "main":
        shutil.copytree(
            go.download(recipe),
            go.work,
            dirs_exist_ok=True,
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns("vendor"),
        )
        return
    go.run("mod", "init", FAKE_MODULE)
    if recipe.kind == "source":
        shutil.copy(SOURCES / recipe.name / "main.go", go.work)
    if recipe.kind == "kubernetes":
        _replace_staging(go, recipe)
    if recipe.kind == "module":
        for _, package in recipe.programs:
            go.run("get", f"{package}@{recipe.version}")
        return
    if recipe.module:
        go.run("get", f"{recipe.module}@{recipe.version}")
    if recipe.kind == "kubernetes":
        (go.work / "tools.go").write_text(_imports(recipe))
    go.run("mod", "tidy")


def _replace_staging(go: _Go, recipe: Recipe) -> None:
    for name in staging_modules((go.download(recipe) / "go.mod").read_text()):
        go.run("mod", "edit", "-replace", f"{name}={name}@{STAGING}")


def staging_modules(go_mod: str) -> list[str]:
    """Names of the modules that Kubernetes' go.mod replaces by its staging folders."""
    pairs = (line.split("=>") for line in go_mod.splitlines() if "=> ./staging/src/" in line)
    return [left.removeprefix("replace").split()[0] for left, _ in pairs]


def _imports(recipe: Recipe) -> str:
    lines = "\n".join(f'\t_ "{package}"' for _, package in recipe.programs)
    return f"//go:build tools\n\npackage tools\n\nimport (\n{lines}\n)\n"
