"""Links that are shared, and their QR codes."""

from __future__ import annotations

import pytest

from mesa_llm_norms.web.model_source import Invitation
from mesa_llm_norms.web.share import link_to, qr_code


def test_a_link_has_the_token_for_guests_and_what_is_shown() -> None:
    invitation = Invitation("http://192.0.2.7:8765", "a b&c", private=False)
    assert link_to(invitation, "names=QM&at=48") == (
        "http://192.0.2.7:8765/?token=a+b%26c&names=QM&at=48"
    )
    assert link_to(invitation, "") == "http://192.0.2.7:8765/?token=a+b%26c"


def test_a_code_is_a_picture_and_has_an_end() -> None:
    assert b"<svg" in qr_code("http://192.0.2.7:8765/?token=a")
    with pytest.raises(ValueError, match="Data too large"):
        qr_code("x" * 5_000)
