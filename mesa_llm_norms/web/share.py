"""A link for others to what is on the page, and the same as a QR code.

Anyone who opens it sees a population of their own, at the same moment. It holds another token
(``guard``), which admits to the page and not to what belongs to the teacher of a class.
"""

from __future__ import annotations

import io
from base64 import b64encode
from urllib.parse import urlencode

import segno
import solara

from mesa_llm_norms.web.guard import TOKEN
from mesa_llm_norms.web.model_source import Invitation, server_settings
from mesa_llm_norms.web.page_state import PageState

_ALONE = (
    "Only this computer can open it. For others on the same network, end the page and start it "
    "with: mesa-llm-norms app --host 0.0.0.0"
)
_OTHERS = (
    "For people on the same network. Anyone who opens it has a population of their own, and what "
    "they do changes nothing here. It works until this page is ended, and is not encrypted."
)
_TOO_LONG = "The link is too long for a QR code: it holds all changes made by hand."


def link_to(invitation: Invitation, query: str) -> str:
    """Return the link for others to what a query stands for."""
    token = urlencode({TOKEN: invitation.token})
    return f"{invitation.origin}/?{'&'.join(filter(None, (token, query)))}"


def qr_code(text: str) -> bytes:
    """Return a QR code, black on white, as SVG; ``ValueError`` for more than it can hold."""
    drawn = io.BytesIO()
    segno.make_qr(text).save(drawn, kind="svg", scale=8, border=4, light="#fff", svgclass=None)
    return drawn.getvalue()


def _query(state: PageState) -> str:
    return "&".join(filter(None, (state.spoken, state.session.query)))


@solara.component  # type: ignore[untyped-decorator]
def Share(state: PageState) -> None:  # noqa: N802
    """Show a button that opens a link and its QR code, where the server has invitations."""
    link, show = solara.use_state("")
    invitation = server_settings().invitation
    if invitation is None:
        return
    solara.Button(
        "",
        icon_name="mdi-share-variant",
        text=True,
        on_click=lambda: show(link_to(invitation, _query(state))),
        attributes={
            "data-testid": "share",
            "title": "Share: a link to what is on the page, and its QR code",
            "aria-label": "Share",
        },
    )
    with (
        solara.v.Dialog(
            v_model=bool(link), on_v_model=lambda opened: opened or show(""), max_width=480
        ),
        solara.v.Sheet(class_="norms-share"),
    ):
        if link:
            _shared(link, invitation.private)
            solara.Button(
                "Close", on_click=lambda: show(""), attributes={"data-testid": "share-close"}
            )


def _shared(link: str, private: bool) -> None:
    solara.v.Html(tag="h2", children=["Share what is on the page"])
    code, hint = None, _ALONE if private else _OTHERS
    try:
        code = b64encode(qr_code(link)).decode()
    except ValueError:
        hint = f"{hint} {_TOO_LONG}"
    attributes = {"data-testid": "share-hint", "role": "status"}
    solara.Div(children=[hint], classes=["norms-hint"], attributes=attributes)
    solara.v.Html(
        tag="a",
        children=[link],
        attributes={"href": link, "target": "_blank", "data-testid": "share-link"},
    )
    if code is not None and not private:
        source = f"data:image/svg+xml;base64,{code}"
        solara.v.Html(tag="img", attributes={"src": source, "alt": "QR code of the link"})
