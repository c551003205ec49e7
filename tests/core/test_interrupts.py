"""Ctrl-C, SIGTERM and SIGHUP end a process the same way, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from programs import Program

from mesa_llm_norms.core import interrupts
from mesa_llm_norms.core.interrupts import interrupts_held

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")

ROOT = Path(interrupts.__file__).parents[2]
STATUS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
SENTENCE = "interrupted: nothing more was written.\n"

WORKING = """
import signal, sys, time
from mesa_llm_norms.core.interrupts import SENTENCE, exit_status, install, leftovers, working
install()
try:
    with working():
        work()
except KeyboardInterrupt:
    sys.stderr.write(f"interrupted: {SENTENCE}\\n")
    sys.exit(exit_status())
"""

PLAIN = "def work():\n    print(1, flush=True)\n    time.sleep(600)\n"
SWALLOWING = """
def work():
    while True:
        try:
            print("working", flush=True)
            time.sleep(600)
        except BaseException:
            pass
"""
DESTRUCTOR = """
class Slow:
    def __del__(self):
        print("destroying", flush=True)
        time.sleep(2)

def work():
    Slow()
    time.sleep(600)
"""
COMPILED = """
def work():
    import hashlib
    print("working", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


IMPORTING = """
def work():
    try:
        print("importing", flush=True)
        time.sleep(600)
    except BaseException as error:
        raise ImportError("initialization failed") from error
"""


WITH_SEMAPHORES = """
def work():
    import mesa_llm_norms.compat
    from multiprocessing import get_context
    queue = get_context("spawn").Queue()
    while True:
        try:
            print("working", flush=True)
            time.sleep(600)
        except BaseException:
            pass
"""


def ended(program: str, name: str, *, again: bool = False) -> tuple[int, str]:
    """Return the status and standard error of a program that gets a signal once it says so."""
    with Program(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(getattr(signal, name))
        if again:
            time.sleep(0.1)
            process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
    return process.returncode, err


@pytest.mark.parametrize("name", STATUS)
def test_work_is_interrupted_by_each(name: str) -> None:
    assert ended(PLAIN + WORKING, name) == (STATUS[name], SENTENCE)


def test_so_is_the_import_of_a_module_in_c() -> None:
    """It makes an ImportError of what is raised meanwhile."""
    assert ended(IMPORTING + WORKING, "SIGINT") == (130, SENTENCE)


def test_a_second_one_disturbs_nothing_that_is_being_put_in_order() -> None:
    slow = "def work():\n    try:\n        print(1, flush=True)\n        time.sleep(600)\n"
    slow += "    finally:\n        time.sleep(0.5)\n"
    assert ended(slow + WORKING, "SIGINT", again=True) == (130, SENTENCE)


@pytest.mark.parametrize(
    "work",
    [SWALLOWING, COMPILED, WITH_SEMAPHORES],
    ids=["swallowed", "compiled", "with semaphores"],
)
def test_work_that_does_not_end_is_given_up(work: str) -> None:
    assert ended(work + WORKING, "SIGTERM") == (143, SENTENCE)


def test_what_was_being_written_is_removed_even_then(tmp_path: Path) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "table").touch()
    program = WORKING.replace("try:", f"leftovers.add({str(folder)!r})\ntry:")
    assert ended(SWALLOWING + program, "SIGTERM") == (143, SENTENCE)
    assert not folder.exists()


def test_an_interrupt_that_python_cannot_raise_is_raised_soon() -> None:
    """A destructor raises nothing: Python prints the exception and goes on."""
    assert ended(DESTRUCTOR + WORKING, "SIGINT") == (130, SENTENCE)


@pytest.mark.parametrize("name", STATUS)
def test_before_there_is_work_the_process_just_ends(name: str) -> None:
    program = "import time\nfrom mesa_llm_norms.core.interrupts import install\ninstall()\n"
    program += "print('ready', flush=True)\ntime.sleep(600)"
    assert ended(program, name) == (STATUS[name], SENTENCE)


@pytest.mark.parametrize("module", ["mesa_llm_norms.compat", "shutil"])
def test_a_half_imported_module_does_not_keep_the_process(module: str) -> None:
    program = "import sys, time, types\n"
    program += "from mesa_llm_norms.core.interrupts import install, leftovers\ninstall()\n"
    program += f"leftovers.add('none')\nsys.modules[{module!r}] = types.ModuleType('half')\n"
    program += "print('ready', flush=True)\ntime.sleep(600)"
    assert ended(program, "SIGTERM") == (143, SENTENCE)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(name: str) -> None:
    """As by nohup, and by shells in the background."""
    ignoring = f"import signal\nsignal.signal(signal.{name}, signal.SIG_IGN)\n"
    brief = "def work():\n    print(1, flush=True)\n    time.sleep(0.5)\n"
    assert ended(ignoring + brief + WORKING, name) == (0, "")


@pytest.mark.parametrize("name", STATUS)
def test_an_interrupt_waits_for_the_end_of_the_block(name: str) -> None:
    done = False

    def interrupted() -> None:
        nonlocal done
        with interrupts_held():
            signal.raise_signal(getattr(signal, name))
            done = True

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(getattr(signal, name), handle)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert signal.getsignal(getattr(signal, name)) is handle
    finally:
        signal.signal(getattr(signal, name), before)
    assert done


def test_nothing_is_held_outside_the_main_thread() -> None:
    def hold() -> None:
        with interrupts_held():
            pass

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert not thread.is_alive()


LATE = """
import os
from mesa_llm_norms.core.interrupts import install
install()
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), numbers=(2, 15, 1)):
        for number in numbers:
            kill(pid, number)
late = Late()
"""
"""A program that gets signals while Python ends, when it has no handlers any more."""


def test_a_process_that_is_ending_ends_as_if_there_had_been_no_signal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
