"""Build the real llama.cpp server that the tests marked ``llama`` talk to, once per user.

    python tests/support/llama_server/build.py

The C++ sources come inside the source package of llama-cpp-python, fetched with pip at a fixed
version and checked against its SHA-256. What is built is one program that needs no graphics card.
It lies in the user's cache folder and is put there last and in one step, so an interrupted build
leaves nothing that would be used; the next one goes on where it stopped. The last line printed is
the program's path.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

VERSION = "0.3.36"
"""Of llama-cpp-python, whose source package holds the sources of llama.cpp."""

SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"

OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": "-O2",
    "CMAKE_CXX_FLAGS_RELEASE": "-O1",  # halves the time of the build, and the model is tiny
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "OFF",  # a home folder, and so the cache, may be shared between machines
    "GGML_OPENMP": "OFF",
    "LLAMA_CURL": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}


def folder() -> Path:
    """Return where the server is kept: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mesa-llm-norms" / "llama-server"


def program() -> Path:
    """Return the path of the built server, whether or not it is there; other options, another."""
    options = zlib.crc32(repr(sorted(OPTIONS.items())).encode())
    return folder() / f"llama-server-{VERSION}-{options:08x}"


def missing() -> str | None:
    """Return what the build needs and this machine lacks, in one line with the remedy."""
    compilers = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    lacking = [
        word
        for word, there in (
            ("cmake", shutil.which("cmake")),
            ("a C++ compiler", any(shutil.which(name) for name in compilers if name)),
            ("ninja or make", shutil.which("ninja") or shutil.which("make")),
        )
        if not there
    ]
    if not lacking:
        return None
    return (
        f"the llama.cpp server cannot be built without {', '.join(lacking)}. "
        "On Debian and Ubuntu: apt-get install cmake ninja-build g++"
    )


def build() -> Path:
    """Return the path of the server, built first where it is not there yet."""
    path = program()
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once: the second finds the first's result
        if path.exists():
            return path
        if lack := missing():
            raise SystemExit(lack)
        started = time.monotonic()
        print(f"== building the llama.cpp server into {path.parent} (once; 5 to 15 minutes)")
        work = path.parent / f"{path.name}-work"
        source = _source(work)
        _run("configuring", _configuration(source, work / "build"))
        _run("compiling", _compilation(work / "build"))
        built = work / "build" / "bin" / "llama-server"
        subprocess.run([built, "--version"], check=True, capture_output=True)
        built.replace(path)
        shutil.rmtree(work)
        print(f"   built in {(time.monotonic() - started) / 60:.1f} minutes")
    return path


def _source(work: Path) -> Path:
    """Return the folder of llama.cpp's sources, fetched and unpacked where it is not there yet."""
    source = work / "source"
    if not source.exists():
        fetched, partial = work / "fetched", work / "unpacking"
        for rest in (fetched, partial):
            shutil.rmtree(rest, ignore_errors=True)
            rest.mkdir(parents=True)
        wanted = work / "wanted.txt"
        wanted.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{SHA256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
        pip += ["--no-binary", "llama-cpp-python", "--dest", str(fetched)]
        _run("fetching the sources", [*pip, "--requirement", str(wanted)])
        (archive,) = fetched.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(partial, filter="data")
        (unpacked,) = partial.iterdir()
        unpacked.replace(source)
    return source / "vendor" / "llama.cpp"


def _configuration(source: Path, into: Path) -> list[str]:
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = [f"-D{option}={value}" for option, value in OPTIONS.items()]
    return ["cmake", *generator, "-S", str(source), "-B", str(into), *options]


def _compilation(folder: Path) -> list[str]:
    cores = str(min(os.cpu_count() or 1, 8))
    return ["cmake", "--build", str(folder), "--target", "llama-server", "--parallel", cores]


def _run(what: str, command: list[str]) -> None:
    """Run ``command`` quietly; if it fails, print the end of what it said and stop."""
    print(f"   {what}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(
            f"{what} failed (status {done.returncode}); run it again to go on from here"
        )


if __name__ == "__main__":
    print(build())
