"""The real llama.cpp server over HTTP, with a tiny random model or another.

It is that of the ``xllamacpp`` package, in a process of its own. Tests that need the weights of
``smollm2`` are skipped where they are not, and say so.
"""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import pytest
from tiny_model import model

from mesa_llm_norms.llm.weights import SMOLLM2, is_ready

NAME = "tiny-random-llama"
"""What the server calls its model."""

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds within which the server is up, or the test fails; it takes a fraction of one."""

needs_smollm2 = pytest.mark.skipif(
    not is_ready(SMOLLM2.name),
    reason=f"the weights of smollm2 are not here, or xllamacpp is not; run {SMOLLM2.command}",
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
        command = [sys.executable, __file__, str(self._model), str(self._port), str(self._slots)]
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


def serve(model: str, port: int, slots: int) -> None:
    """Serve a model until the process is ended."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = model, {NAME}
    params.hostnames, params.port = [HOST], port
    params.n_parallel, params.n_ctx = slots, 4096 * slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    # As it usually runs, at half the precision, other calls show in the fourth digit.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
