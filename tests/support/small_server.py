"""``python small_server.py [--offline] [--impatient]`` serves ``small_page`` and prints its link.

Impatient, it takes a broken connection for a viewer who left after half a second, and waits no
longer for requests and for the first message of a page.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from mesa_llm_norms.web import guard, serve
from mesa_llm_norms.web.serve import listen


def main() -> None:
    """Serve the page until interrupted."""
    listening, token = listen(port=0), serve.new_token()
    if "--impatient" in sys.argv:
        serve.SETTINGS = {**serve.SETTINGS, "SOLARA_KERNEL_CULL_TIMEOUT": "0.5s"}
        guard.TIMEOUTS = guard.BrowserTimeouts(request=0.5, response=5, first_message=0.5)
    with suppress(KeyboardInterrupt):
        serve.serve(
            listening,
            token,
            lambda: print(f"{listening.origin}/?token={token}&topology=ring(n=6)", flush=True),
            offline="--offline" in sys.argv,
            page="small_page",
        )


if __name__ == "__main__":
    main()
