"""The real llama.cpp server with a tiny random model, for the tests marked ``llama``.

``make test-llama`` builds the program; without it these tests are skipped and say so.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest
from llama_server.build import program
from llama_server.tiny_model import model

NAME = "tiny-random-llama"
"""What the server calls its model."""

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds within which the server is up, or the test fails; it takes a fraction of one."""

needs_llama = pytest.mark.skipif(
    not program().exists(), reason="there is no llama.cpp server; make test-llama builds one"
)


class LlamaProgram:
    """The server, running from ``with`` to the end of its block or to ``stop``.

    ``slots`` is how many calls it works on at once; ``log`` is the file of what it says.
    """

    def __init__(self, folder: Path, slots: int = 8, seed: int = 0) -> None:
        self.log = folder / "llama-server.log"
        self._slots = slots
        self._model = folder / f"tiny-{seed}.gguf"
        self._model.write_bytes(model(seed))

        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://{HOST}:{self._port}/v1"

    def __enter__(self) -> LlamaProgram:
        self.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        command = [str(program()), "--model", str(self._model), "--alias", NAME]
        command += ["--host", HOST, "--port", str(self._port), "--no-warmup", "--threads", "1"]
        command += ["--parallel", str(self._slots), "--ctx-size", str(4096 * self._slots)]
        # As it usually runs, at half the precision, other calls show in the fourth digit.
        command += ["--cache-type-k", "f32", "--cache-type-v", "f32", "--flash-attn", "off"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            if self._is_up():
                return
            time.sleep(0.02)
        raise AssertionError(f"llama-server does not start:\n{self.log.read_text()[-2000:]}")

    def _is_up(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=PATIENCE)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (ConnectionError, http.client.HTTPException):
            return False
        finally:
            connection.close()
