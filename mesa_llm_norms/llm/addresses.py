"""Where calls may go, which key goes with them, and by which way.

A key goes to one address only. The tables ``CLAUDE`` and ``LLAMA`` say which, and ``key_for`` reads
them: the address in the environment now, or else the key's default, or else the one address that
was given. ``docs/live.md`` has the same table in words.

An address that comes from a file, such as the journal of a run that is resumed, was not given by
the user who runs the program now. ``check`` lets nothing be sent to it before it was confirmed,
unless it is the default or in the environment now, or on this computer with no key to go there. It
is called before the first request of a run, whatever the provider.

``proxy_for`` decides about proxies: never one for this computer.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mesa_llm_norms.core.limits import API_ADDRESS, CONNECTIONS, PORT
from mesa_llm_norms.errors import MindError, shortened
from mesa_llm_norms.llm.retry import redacted
from mesa_llm_norms.minds.registry import HIDDEN, safe_name

if TYPE_CHECKING:
    from mesa_llm_norms.llm.provider import Provider

PORTS = {"http": 80, "https": 443}
PATHS = ("/v1", "/api/v1", "/openai/v1")
"""Where servers and services have chat completions."""
_WORD = re.compile(r"[!-~]+")
_HOST = re.compile(r"(?!.{254})[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]+")
"""Names of hosts with parts that can be looked up, and addresses."""
IN_PROCESS = "this process"
"""The place of models that are not behind an API."""


class Key(NamedTuple):
    """An environment variable with a key, and the one address that the key goes to.

    Attributes
    ----------
    variable : str
        The environment variable that holds the key.
    address_variable : str
        The one that holds its address.
    default : str, optional
        Its address where that variable is not set. None: the address that was given, if it is one.
    elsewhere : bool, default False
        Whether it goes to an address that was given instead of the default.
    """

    variable: str
    address_variable: str
    default: str | None = None
    elsewhere: bool = False

    @property
    def home(self) -> str | None:
        """The address that the key goes to by default, None if there is none."""
        return os.environ.get(self.address_variable) or self.default


_ANTHROPIC = "ANTHROPIC_BASE_URL", "https://api.anthropic.com", True
CLAUDE = (
    Key("ANTHROPIC_API_KEY", *_ANTHROPIC),
    Key("ANTHROPIC_AUTH_TOKEN", *_ANTHROPIC),
    Key("ANTHROPIC_CUSTOM_HEADERS", *_ANTHROPIC),
)
"""The keys for Claude, the first that is set before the others."""
LLAMA = (
    Key("LLAMA_API_KEY", "LLAMA_BASE_URL"),
    Key("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
)
"""The keys for servers of chat completions."""


def key_for(provider: Provider) -> Key | None:
    """Return the key that goes to a provider's address, None if none does.

    Parameters
    ----------
    provider : Provider
        Its ``keys`` are looked at, in their order, and its ``place``.

    Returns
    -------
    Key or None
        Of the keys that are set, the one whose address this is, or else one without another.
    """
    held = [key for key in provider.keys or () if os.environ.get(key.variable)]
    at_home = [key for key in held if same(key.home, provider.place)]
    others = [key for key in held if key.home is None or key.elsewhere]
    return next(iter(at_home + others), None)


def check(providers: Iterable[Provider], command: str = "") -> None:
    """Check that calls of one run may be made, before any is.

    Parameters
    ----------
    providers : iterable of Provider
        All that a run asks.
    command : str, default ""
        The command that would be typed again, with ``--address``, to confirm an address.

    Raises
    ------
    MindError
        If an address is from a file and was not confirmed, or a key would go to two addresses.
    """
    asked = list(providers)
    unknown = [one for one in asked if not one.given and not is_known(one)]
    if unknown:
        places = list(dict.fromkeys(one.place for one in unknown))
        gets = sorted({key.variable for one in unknown if (key := key_for(one)) is not None})
        there = places[0] if len(places) == 1 else ", ".join(places)
        confirm = " ".join(f"--address {quote(place)}" for place in places)
        typed = f"{command} {confirm}" if command else f"add {confirm}"
        raise MindError(
            "mind",
            unknown[0].label,
            f"{there} comes from a file and was not given in this session, so that nothing is sent "
            f"there, neither prompts nor {' nor '.join(gets) or 'a key'}",
            f"If you trust it: {typed} (in Python: addresses={places}).",
        )
    goes: dict[Key, str] = {}
    for one in asked:
        key = key_for(one)
        if key is None:
            continue
        if not same(goes.setdefault(key, one.place), one.place):
            only = f"Set {key.address_variable} to the one it is for."
            raise MindError(
                "mind",
                one.label,
                f"{key.variable} could go to {goes[key]} and to {one.place}, and a key goes to one "
                "address only",
                "Play these minds in runs of their own." if key.elsewhere else only,
            )


def is_known(provider: Provider) -> bool:
    """Return whether a provider's address may be called even if it comes from a file."""
    key, place = key_for(provider), provider.place
    if key is None and provider.keys is not None and is_loopback(place):
        return True
    keys = (provider.keys or ()) if key is None else (key,)
    return any(same(home, place) for home in (provider.home, *(it.home for it in keys)))


def confirm(provider: Provider, addresses: Sequence[str]) -> None:
    """Count a provider's address as given if it is among those that were confirmed."""
    if any(same(address, provider.place) for address in addresses):
        provider.given = True


def destination(provider: Provider) -> str:
    """Return in one line where a provider's calls go, and with which key."""
    if provider.place == IN_PROCESS:
        return f"{provider.label} runs in this process; nothing is sent anywhere"
    key = key_for(provider)
    line = f"{provider.label}: calls go to {provider.place}"
    if provider.keys is not None:
        line += f" with {key.variable}" if key is not None else " without a key"
    return line + by_way(provider.place)


def about_key(provider: Provider) -> str:
    """Return what to do about a key that was not accepted."""
    key = key_for(provider)
    if key is not None:
        return f"Check the key in {key.variable}, and the account."
    kept = [it for it in provider.keys or () if os.environ.get(it.variable)]
    if kept:
        return f"No key was sent: {kept[0].variable} goes to {safe_name(str(kept[0].home))} only."
    if provider.keys:
        return f"No key was sent: {provider.keys[0].variable} is not set."
    return "Check the key, and the account."


# Addresses


def read_address(url: str, argument: str, key: str) -> str:
    """Return the address of an API without a trailing slash.

    Raises ``MindError`` for anything else, and for an address with more than a host and a path:
    that could be a secret, which belongs into the environment variable ``key``. ``argument`` is
    where the address comes from.
    """
    try:
        parts = urlsplit(url)
        right = parts.scheme in PORTS and parts.hostname and parts.port != 0
    except (ValueError, TypeError, AttributeError):
        right = False
    # Of other hosts, programs have different ideas where they end.
    if not (right and _WORD.fullmatch(url) and _HOST.fullmatch(parts.hostname or "")):
        raise MindError(
            argument, HIDDEN, "it is not an address", "Give one that begins with http or https."
        )
    if len(url) > API_ADDRESS.high:
        problem = f"it has {len(url):,} characters"
        raise MindError(argument, HIDDEN, problem, f"Use {API_ADDRESS.range}.")
    if "@" in url or "//" in parts.path or parts.query or parts.fragment:
        raise MindError(
            argument,
            HIDDEN,
            "it contains more than a host and a path",
            f"Put a key into the environment variable {key}.",
        )
    return url.rstrip("/")


def likely_addresses(address: str) -> list[str]:
    """Return where on the same host chat completions may be, if not at an address."""
    parts = urlsplit(address)
    root, stem = f"{parts.scheme}://{parts.netloc}", address
    for ending in ("/completions", "/chat", "/models"):
        stem = stem.removesuffix(ending)
    likely = (stem, f"{stem}/v1", *(f"{root}{path}" for path in PATHS))
    return [one for one in dict.fromkeys(likely) if one != address]


def same(one: str | None, other: str) -> bool:
    """Return whether two addresses are the same, however they are written."""
    return one is not None and _normal(one) == _normal(other)


def _normal(address: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(address)
        if parts.scheme in PORTS:
            port = parts.port or PORTS[parts.scheme]
            return parts.scheme, parts.hostname, port, parts.path.rstrip("/"), parts.query
    except ValueError:
        pass
    return (address,)


def is_loopback(address: str) -> bool:
    """Return whether an address is on this computer: 127.0.0.0/8, ::1, localhost or *.localhost."""
    try:
        host = (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return False
    if not _HOST.fullmatch(host):
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ip_address(host)
    except ValueError:
        try:  # as resolvers read them: 127.1
            found = ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return False
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback or mapped.is_unspecified)


# Proxies


@dataclass(frozen=True, repr=False)
class Proxy:
    """The proxy for an address, and the environment variable that names it; prints no password."""

    url: str
    variable: str

    def __str__(self) -> str:
        scheme, _, rest = self.url.partition("://")
        place = shortened(f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}", 100)
        return f"the proxy {place} ({self.variable})"

    __repr__ = __str__


def proxy_for(address: str) -> Proxy | None:
    """Return the proxy that calls to an address go by, None if they go directly.

    Calls to this computer always go directly, whatever the environment says.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if is_loopback(address):
        return None
    proxies = getproxies()
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    url = proxies.get(scheme)
    if not url or proxy_bypass(f"{host}:{port}") or _excepted(host, proxies.get("no", "")):
        return None
    names = f"{scheme}_proxy", f"{scheme}_proxy".upper()
    variable = next((name for name in names if os.environ.get(name)), "the system's settings")
    return Proxy(url if "://" in url else f"http://{url}", variable)


def by_way(address: str) -> str:
    """Return the end of a sentence about calls to an address: the proxy, if they go by one."""
    proxy = proxy_for(address)
    return f", by way of {proxy}" if proxy is not None else ""


def _excepted(host: str, exceptions: str) -> bool:
    """Return whether NO_PROXY excepts a host by a star or a network, which Python overlooks."""
    for exception in map(str.strip, exceptions.split(",")):
        try:
            if exception == "*" or ip_address(host) in ip_network(exception, strict=False):
                return True
        except ValueError:
            continue
    return False


def transport(provider: Provider) -> Any:
    """Return what connects to a provider's address; with it, SDKs look for no proxy themselves.

    Raises ``MindError`` if the proxy or the certificates in the environment cannot be used.
    """
    from httpx2 import AsyncHTTPTransport, Limits
    from httpx2 import Proxy as HTTPProxy

    most = CONNECTIONS.high
    limits = Limits(max_connections=most, max_keepalive_connections=most)
    proxy = proxy_for(provider.place)
    try:
        by = HTTPProxy(proxy.url) if proxy is not None else None
        if by is not None:
            _check_reachable(by.url)
    except Exception:  # whose text has the password
        problem = f"{proxy} is not the address of a proxy"
        remedy = "Begin it with http, https or socks5, give it a host and a port, or unset it."
        raise MindError("mind", provider.label, problem, remedy) from None
    try:
        return AsyncHTTPTransport(limits=limits, proxy=by)
    except ImportError:
        problem, remedy = f"{proxy} needs a package that is missing", "Run: pip install socksio"
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        problem = f"the certificates in SSL_CERT_FILE or SSL_CERT_DIR cannot be read ({why})"
        remedy = "Unset the variable, or let it name a file of certificates."
    raise MindError("mind", provider.label, problem, remedy)


def _check_reachable(url: Any) -> None:
    """Raise ``ValueError`` for the URL of a proxy without a host and port to connect to."""
    if not _HOST.fullmatch(url.raw_host.decode()):
        raise ValueError("host")
    if url.port is not None and (url.port == 0 or url.port not in PORT):
        raise ValueError("port")


def connection_failure(error: BaseException, proxy: Proxy | None) -> tuple[str, str | None]:
    """Return why a connection failed, and what to do if that follows; quotes nothing sent."""
    by = f", by way of {proxy}" if proxy is not None else ""
    for cause in _causes(error):
        if proxy is not None and isinstance(cause, (socket.gaierror, ConnectionRefusedError)):
            return f"{proxy} cannot be reached", f"Check {proxy.variable}, or unset it."
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {cause.verify_message}{by}",
                "If it is the right one, name the file of its authority in SSL_CERT_FILE.",
            )
        if isinstance(cause, ssl.SSLError):
            if cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
                return f"it does not speak https{by}", "Begin the address with http:// instead."
            return f"the encryption failed: {cause.reason}{by}", "Check the address."
        if isinstance(cause, socket.gaierror):
            return "the name of its host is not known", "Check the address and the network."
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused", None
        if type(cause).__name__ == "ProxyError":
            return f"{proxy} refused: {redacted(str(cause))}", "Check what it wants, or unset it."
    remedy = f"Check the address, and whether {proxy} lets you reach it." if by else None
    return f"the connection failed ({type(error.__cause__ or error).__name__}){by}", remedy


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        group = error if isinstance(error, BaseExceptionGroup) else None
        error = group.exceptions[0] if group is not None else error.__cause__ or error.__context__
