"""``python views_server.py`` serves ``views_page`` and prints its link."""

from __future__ import annotations

from contextlib import suppress

from mesa_llm_norms.web.serve import listen, new_token, serve


def main() -> None:
    """Serve the page until interrupted."""
    listening, token = listen(port=0), new_token()
    link = f"{listening.origin}/?token={token}"
    with suppress(KeyboardInterrupt):
        serve(listening, token, lambda: print(link, flush=True), offline=True, page="views_page")


if __name__ == "__main__":
    main()
