"""What SDKs find around them: one key or none, and no certificates to read."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from claude import KEY

CERTIFICATES = ssl.create_default_context()


@pytest.fixture
def claude_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the SDK find one credential, whatever this machine holds."""
    # They are not used here, and reading them for every client takes longer than all else.
    monkeypatch.setattr("httpcore2.default_ssl_context", lambda **_: CERTIFICATES)
    for variable in ("AUTH_TOKEN", "BASE_URL", "PROFILE", "CUSTOM_HEADERS", "CONFIG_DIR", "LOG"):
        monkeypatch.delenv(f"ANTHROPIC_{variable}", raising=False)
    for variable in ("HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def llama_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep out what this machine says, and its many certificates: reading them takes longest."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    for variable in ("BASE_URL", "ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS", "LOG", "ADMIN_KEY"):
        monkeypatch.delenv(f"OPENAI_{variable}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
