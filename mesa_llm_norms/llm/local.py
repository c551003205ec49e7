"""Models that run in this process: ``smollm2``, and any other file of weights (GGUF).

They are run by llama.cpp, through the ``xllamacpp`` package. Nothing leaves the process: a model is
asked by calls of functions. The package opens a server all the same, so that is given a socket in a
folder of its own which nobody else may enter, the folder is removed before the first question, and
it wants a key that nobody knows.

**Probabilities do not depend on what was asked before, or at the same time.** llama.cpp keeps what
it computed of the last prompt and continues from where the next one differs. How it adds up the
same numbers depends on how many tokens it computes at once, and in a model of small weights that
shows in the third digit. So tokens are computed one by one: then those kept are the same, bit for
bit, as those computed anew. That costs two fifths of the speed of a long prompt, and what need
not be computed again wins back twice as much.

A model answers one question at a time. Of those that wait, the next is the one that has the most in
common with the last.

**A damaged file ends no process of the user's.** llama.cpp ends its process where a file says of
itself what cannot be, while it loads or when it is first asked. So weights of unknown origin are
tried once in a process of their own.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import re
import secrets
import shutil
import socket
import string
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.errors import CallError, MindError, shortened
from mesa_llm_norms.llm.addresses import IN_PROCESS, Key
from mesa_llm_norms.llm.chat_completions import Capabilities, listed
from mesa_llm_norms.llm.chat_provider import ChatProvider
from mesa_llm_norms.llm.provider import Content
from mesa_llm_norms.llm.retry import kind_of
from mesa_llm_norms.llm.weights import WEIGHTS, cache_folder, sha256_of
from mesa_llm_norms.minds.registry import register_provider

EXAMPLE = "local:PATH.gguf"
CONTEXT = 8192
"""Tokens that a prompt and its reply may have together."""
AT_ONCE = 64
"""Tokens after which llama.cpp looks up."""
DECOY: list[list[Any]] = [["\n", 1000.0]]
"""What llama.cpp is led to choose first. No name begins so, and it lists how likely the names are
among themselves, with nothing else beside them, when what it chose is none of them."""
HEAD = 1 << 20
"""Bytes at the beginning of a file within which it says what kind of model it is."""
LONGEST_SOCKET = 100
"""Bytes that the path of a socket may have on every system."""
TRIAL = "import sys; from mesa_llm_norms.llm.local import try_out; try_out(*sys.argv[1:])"
"""What the process does in which weights of unknown origin are tried."""
ASKED: tuple[dict[str, Any], ...] = (
    {"max_tokens": 4},
    {"max_tokens": 4, "grammar": 'root ::= "Q" | "M"', "logprobs": True, "top_logprobs": 2},
)
"""How a model is asked there: freely, and as it is asked for names."""
UNLOADABLE, UNANSWERING = 41, 42
PROBLEMS = {UNLOADABLE: "cannot be loaded as a model", UNANSWERING: "cannot answer"}
"""What is wrong with weights, by the status of that process."""
_ENCODER = re.compile(rb"\.pooling_type\x04\0\0\0[^\0]|\.attention\.causal\x07\0\0\0\0")
"""What stands in files of models that turn texts into vectors, and write none."""


class LocalProvider(ChatProvider):
    """A model that runs in this process.

    It does not think before it answers: its reply begins with a name.

    Parameters
    ----------
    file : str
        The path of a GGUF file, or the name of a model whose weights can be fetched (``smollm2``).
    temperature : float, default 0.5
        From 0 to 10: that of the probabilities a name is drawn from.
    max_tokens : int, default 128
        The most tokens a call may write, where names have to be spelled out.
    threads : int, default 1
        How many threads compute a token. More make large models faster on an idle machine, and
        everything many times slower on a busy one, since they wait for each other.

    Raises
    ------
    MindError
        If an argument is out of range.
    """

    keys: Sequence[Key] = ()
    answered: int = 0
    place = IN_PROCESS

    def __init__(
        self,
        file: str,
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        threads: int = 1,
    ) -> None:
        self._weights = WEIGHTS.get(file)
        self._file = file
        self.label: str = file if self._weights else f"local:{file}"
        stem = Path(self._weights.file if self._weights else file).stem
        super().__init__(stem, temperature, max_tokens)
        self.threads: int = read_whole("threads", threads, limits.THREADS, MindError)
        self._model: LocalModel | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that make an equal provider."""
        return {
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            "threads": self.threads,
        }

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything sent besides the prompt, and which weights they are."""
        return {**super().parameters, **(self._model.about if self._model is not None else {})}

    async def prepare(self) -> None:
        """Load the model, unless this process has it already.

        Raises
        ------
        MindError
            If the weights are not there, or not those of a model that can answer, or the package
            that runs them is missing.
        """
        if self.capabilities is None:
            path = self._weights.locate() if self._weights else Path(self._file)
            _check_installed(self.label)
            if _forked:
                problem = "a process that was forked from one with a model cannot load another"
                self._refuse(problem, 'Start processes by "spawn", or load no model before.')
            _check_file(path, self.label)
            model = _model_of(path.resolve(), self.threads)
            problem = await asyncio.wrap_future(model.load())
            if problem:
                self._refuse(problem, "Give the GGUF file of a model that answers in words.")
            self._model = model
            self.capabilities: Capabilities | None = Capabilities("grammar", "after")

    def _listed(self, drawing: Any, pool: tuple[str, ...]) -> Mapping[str, Any]:
        return {**listed(drawing, pool), "logit_bias": DECOY}

    async def _request(
        self,
        path: str,  # noqa: ARG002  (there is one)
        body: Mapping[str, Any] | None,
        read: Callable[[object], Content],
    ) -> Content:
        assert self._model is not None
        plain = {"chat_template_kwargs": {"enable_thinking": False}}
        try:
            answer = await asyncio.wrap_future(self._model.ask({**(body or {}), **plain}))
        except Exception as error:  # whatever the package makes of one of llama.cpp
            problem = f"{self.model} cannot answer ({error})"
            raise CallError(self.label, "refused", problem) from error
        if (refusal := answer.get("error")) is not None:
            status = refusal.get("code")
            raise CallError(self.label, kind_of(status), str(refusal.get("message")), status)
        self.answered += 1
        return read({**answer, "model": self.model})


class LocalModel:
    """A model in this process, and the thread that asks it: one question at a time, to its end.

    llama.cpp cannot be interrupted. Who no longer wants an answer cancels the future, and goes.

    Parameters
    ----------
    path : pathlib.Path
        The file of its weights.
    threads : int
        How many threads compute a token.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.about: Mapping[str, Any] = {}
        self._path = path
        self._threads = threads
        self._server: Any = None
        self._trial: subprocess.Popen[bytes] | None = None
        self._loading: Future[str] = Future()
        self._waiting: list[tuple[str, Mapping[str, Any], Future[dict[str, Any]]]] = []
        self._last = ""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"model {path.name}", daemon=True)

    @property
    def failed(self) -> bool:
        """Whether it could not be loaded."""
        return self._loading.done() and bool(self._loading.result())

    def load(self) -> Future[str]:
        """Load the model once; the result is why it cannot be, if so."""
        with self._changed:
            if not self._loading.running() and not self._loading.done():
                self._loading.set_running_or_notify_cancel()  # so that nobody can cancel it
                self._thread.start()
        return self._loading

    def ask(self, body: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Ask by a request for a chat completion; the result is what a server would answer."""
        text = "\0".join(message["content"] for message in body["messages"])
        answer: Future[dict[str, Any]] = Future()
        with self._changed:
            self._waiting.append((text, body, answer))
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Wait for the answer being given, and free the model; Python would crash otherwise."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            if self._trial is not None:
                self._trial.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        problem = self._opened()
        self._loading.set_result(problem)
        if problem:
            return
        while (question := self._next()) is not None:
            self._last, body, answer = question
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(self._server.handle_chat_completions(dict(body)))
                except BaseException as error:
                    answer.set_exception(error)
        self._server = None

    def _opened(self) -> str:
        """Load the model; return why it cannot be, if so."""
        try:
            sha256 = sha256_of(self._path)
            problem = self._tried(sha256)
            if not problem:
                self._server = _open(self._path, self._threads)
                self.about = {"sha256": sha256, "threads": self._threads}
        except Exception:  # the package says nothing of the reason
            problem = PROBLEMS[UNLOADABLE]
        return problem and f"{self._path.name} {problem}"

    def _tried(self, sha256: str) -> str:
        """Try weights in a process of their own, unless they are known; return what is wrong."""
        known = cache_folder() / "tried" / f"{sha256}-{version('xllamacpp')}"
        if known.exists() or any(sha256 == it.sha256 for it in WEIGHTS.values()):
            return ""
        with self._changed:
            if self._closed:
                return "was not tried"
            self._trial = subprocess.Popen(
                [sys.executable, "-c", TRIAL, str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        with self._trial as trial:
            assert trial.stderr is not None
            said = trial.stderr.read().decode(errors="replace").strip().splitlines()
            status = trial.wait()
        if not status:
            with suppress(OSError):
                known.parent.mkdir(parents=True, exist_ok=True)
                known.touch()
            return ""
        died = f"ended the process that tried it ({shortened(said[-1], 200) if said else status})"
        return PROBLEMS.get(status, died)

    def _next(self) -> tuple[str, Mapping[str, Any], Future[dict[str, Any]]] | None:
        """Wait for questions; return the one most like the last, None once there are no more."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            nearest = max(self._waiting, key=lambda it: _shared(it[0], self._last))
            self._waiting.remove(nearest)
            return nearest


_models: dict[tuple[Path, int], LocalModel] = {}
_making = threading.Lock()
_forked = False
"""Whether this process was forked from one with a model, after which llama.cpp loads none."""


def _model_of(path: Path, threads: int) -> LocalModel:
    """Return the model of a file, of which a process has one; what failed is loaded anew."""
    with _making:
        model = _models.get((path, threads))
        if model is None or model.failed:
            model = _models[path, threads] = LocalModel(path, threads)
        return model


@atexit.register
def _close_models() -> None:
    for model in _models.values():
        model.close()


def _forget_models() -> None:
    """Leave the models of the parent as they are in a forked process, which lacks their threads."""
    global _making, _forked
    _making, _forked = threading.Lock(), _forked or bool(_models)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_models)


def _open(path: Path, threads: int) -> Any:
    """Return llama.cpp's server of a model, which nobody else can reach."""
    xllamacpp = importlib.import_module("xllamacpp")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # it would start a debugger
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT
    params.n_parallel = params.n_ubatch = 1
    params.n_batch = AT_ONCE
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0
    params.warmup = False
    params.verbosity = -1
    params.api_keys = [secrets.token_hex(32)]
    params.endpoint_metrics = True
    if not hasattr(socket, "AF_UNIX"):
        return _begun(xllamacpp.Server(params))  # at a random port of this computer
    folder = tempfile.mkdtemp(prefix="norms-")
    if len(os.fsencode(folder)) > LONGEST_SOCKET - len("/s.sock"):
        Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="norms-", dir="/tmp")
    try:
        params.hostnames = [f"{folder}/s.sock"]
        return _begun(xllamacpp.Server(params))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _begun(server: Any) -> Any:
    """Wait until a server works: one that is freed before it does never ends."""
    server.handle_metrics()
    return server


def try_out(path: str) -> None:
    """Load a model and have it answer, in a process that is there for nothing else.

    Ends the process with a status of ``PROBLEMS`` where that fails, and as soon as its standard
    input is closed, as by the end of the process that started it.
    """
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
    status = UNLOADABLE
    try:
        server = _open(Path(path), 1)
        status = UNANSWERING
        for options in ASKED:
            message = {"role": "user", "content": string.printable + "é漢"}
            server.handle_chat_completions({"messages": [message], **options})
    except Exception:
        os._exit(status)


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _check_installed(label: str) -> None:
    """Raise ``MindError`` if the package that runs models cannot be imported."""
    try:
        importlib.import_module("xllamacpp")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        problem = "is missing" if missing else f"cannot be imported ({error})"
        remedy = 'Run: pip install "mesa-llm-norms[local]"'
        raise MindError("mind", label, f"the xllamacpp package {problem}", remedy) from None


def _check_file(path: Path, label: str) -> None:
    """Raise ``MindError`` for a file that is not one of weights that can answer in words."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror})"
        raise MindError("mind", label, problem, f"Write {EXAMPLE} with the path of one.") from None
    if head[:4] != b"GGUF":
        what = "is empty" if not head else "is not a GGUF file"
        remedy = "Give a file of weights for llama.cpp; most of their names end in .gguf."
        raise MindError("mind", label, f"{path} {what}", remedy)
    if _ENCODER.search(head):
        problem = f"{path} is a model that turns texts into vectors"
        raise MindError("mind", label, problem, "Give one that answers in words.")


register_provider("local", LocalProvider, example=EXAMPLE)
