"""How a command ends early: Ctrl-C, SIGTERM and SIGHUP do the same, at any moment.

While a command works, the first of them raises ``KeyboardInterrupt`` in the main thread, and the
others are ignored. Before and after there is nothing to put in order, and the process ends at once;
once it has only Python itself to end, it ends as if there had been none.
A signal that was ignored when the process started, as by ``nohup``, stays ignored.

The process ends in any case: what has not put itself in order after ``ENDING_SECONDS`` (compiled
code that does not look up, a library that swallowed the interrupt) is given up.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ENDING_SECONDS = 1.85
"""Seconds after a signal in which the process is gone; the calls under way have most of them."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What ends a command."""

SENTENCE = "nothing more was written."
"""What an interrupted command says last."""

leftovers: set[str] = set()
"""Files and folders that are removed should the process have to be given up."""


class _State:
    """What has happened in this process; there is one."""

    installed = False
    working = False
    said = False
    received: int | None = None


def install() -> None:
    """Have the signals end this process, from now to its end; for the main thread of a command."""
    if _State.installed:
        return
    _State.installed = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    reader, writer = os.pipe()
    if os.name == "posix":
        os.set_blocking(writer, False)
    # The system writes the number of a signal here even while compiled code runs.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), name="endings", daemon=True).start()
    sys.unraisablehook = _again_after(sys.unraisablehook)
    atexit.register(_let_it_end)


@contextmanager
def working() -> Iterator[None]:
    """Have a signal raise ``KeyboardInterrupt`` in the block instead of ending the process.

    Modules in C that it interrupts while they are imported make an error of their own of it.
    """
    _State.working = True
    try:
        yield
    except (ImportError, SystemError) as error:
        if _State.received is not None and isinstance(error.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        _State.working = False


def exit_status() -> int:
    """Return the status of an interrupted process: 130 after Ctrl-C, 143 or 129.

    The caller has said ``SENTENCE``.
    """
    _State.said = True
    return 128 + (_State.received or signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Delay an interrupt until after the block, which it would leave half done."""
    usual: dict[int, Callable[..., Any]] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = ((number, signal.getsignal(number)) for number in SIGNALS)
        usual = {number: handler for number, handler in handlers if callable(handler)}
    held: list[Any] = []
    for number in usual:
        signal.signal(number, lambda *given: held.append(given))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        if held:
            usual[held[0][0]](*held[0])


def _handle(number: int, _: Any) -> None:
    if _State.received is not None:
        return
    _State.received = number
    if _State.working:
        raise KeyboardInterrupt
    with suppress(Exception):
        sys.stdout.flush()
    _leave(number)


def _let_it_end() -> None:
    """Ignore signals from here on: all is done, and Python takes its handlers away as it ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _watch(reader: int) -> None:
    """End the process some time after the first signal."""
    number = 0
    while number not in SIGNALS:
        (number,) = os.read(reader, 1)
    time.sleep(ENDING_SECONDS)
    _leave(number)


def _leave(number: int) -> None:
    """End the process now, whatever state its modules are in: some may be half imported."""
    try:
        _tidy()
    finally:
        os._exit(128 + number)


def _tidy() -> None:
    """Remove what must not be left, and say that the command was interrupted."""
    with suppress(Exception):
        import shutil  # here, for until this module is imported a signal cannot be handled

        for path in tuple(leftovers):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108
    remove_semaphores = getattr(sys.modules.get("mesa_llm_norms.compat"), "remove_semaphores", None)
    if remove_semaphores is not None:
        # In a thread, for what is given up may hold the lock that is needed.
        remover = threading.Thread(target=remove_semaphores, daemon=True)
        remover.start()
        remover.join(0.1)
    if not _State.said:
        os.write(2, f"interrupted: {SENTENCE}\n".encode())


def _again_after(usual: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that repeats an interrupt which was raised where nothing can be raised.

    That is in a destructor, for one, where Python prints the exception and forgets it.
    """

    def hook(ignored: Any) -> None:
        number = _State.received
        if number is None or not issubclass(ignored.exc_type, KeyboardInterrupt):
            usual(ignored)
            return
        _State.received = None
        again = threading.Timer(0.02, _thread.interrupt_main, (number,))
        again.daemon = True
        again.start()

    return hook
