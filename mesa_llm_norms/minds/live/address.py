"""Where a server is, as it may be written down anywhere: without a secret in it."""

from __future__ import annotations

from urllib.parse import urlsplit

from mesa_llm_norms.errors import MindError

UNSEEN = "(not shown)"
"""What an error has in place of an address, for that may hold a password."""


def read_address(url: str, argument: str, key: str) -> str:
    """Return ``url`` without a slash at its end.

    Raises ``MindError`` for what is no address, and for one that holds more than a host and a path:
    that could be a secret, which belongs into the variable called ``key``. ``argument`` is where
    the address comes from.
    """
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        right = False
    if not right:
        raise MindError(argument, UNSEEN, "it is no address", "Give one with http or https.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise MindError(
            argument,
            UNSEEN,
            "there is more in it than a host and a path",
            f"Put a key into the environment, as {key}.",
        )
    return url.rstrip("/")
