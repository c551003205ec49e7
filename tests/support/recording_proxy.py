"""An HTTP proxy on this machine that keeps what it is asked for.

    with RecordingProxy(server.url) as proxy:
        ...  # calls with HTTP_PROXY set to proxy.url
        assert proxy.targets == ["http://gpu.example/v1/models"]

Whatever host is asked for over http, the answer is that of the server at ``behind``, or 502 without
one. A connection that is to be encrypted is kept in mind, and refused.
"""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit


class RecordingProxy:
    """Serves from ``with`` to the end of its block.

    ``targets`` are what was asked for, as it stood in the request, and ``headers`` its headers.
    """

    def __init__(self, behind: str | None = None, status: int = 502) -> None:
        self.behind = behind
        self.status = status
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def authority(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        """What HTTP_PROXY is to be."""
        return f"http://{self.authority}"

    def __enter__(self) -> RecordingProxy:
        outer = self

        class Handler(_Handler):
            proxy = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    proxy: RecordingProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        self._keep()
        self.send_error(self.proxy.status)

    def do_GET(self) -> None:
        self._keep()
        if self.proxy.behind is None:
            self.send_error(self.proxy.status)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection(urlsplit(self.proxy.behind).netloc, timeout=20)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        connection.request(self.command, urlsplit(self.path).path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("content-type", answer.getheader("content-type", "text/plain"))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815  (as the library calls it)

    def _keep(self) -> None:
        self.proxy.targets.append(self.path)
        names = {name.lower(): value for name, value in self.headers.items()}
        self.proxy.headers.append(names)
