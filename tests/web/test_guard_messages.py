"""Which messages of a page get through: events and Solara's own; nothing that is a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipyvue
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipyvue.VueTemplateWidget import Events as TemplateEvents
from ipyvue.VueWidget import Events as WidgetEvents
from ipywidgets import Widget
from kernel_client import Viewer, said
from served import Served, start_small_page

from mesa_llm_norms.web.guard import COMMANDS, admitted, guard_widgets
from mesa_llm_norms.web.page_state import take_drawn


class Picker(ipyvue.VueTemplate):  # type: ignore[misc]
    """A widget such as the network view: one event, and methods that are nobody's business."""

    def __init__(self) -> None:
        self.template = "<template><div></div></template>"
        self.picked: list[Any] = []
        super().__init__()

    def vue_pick(self, data: Any) -> None:
        self.picked.append(data)

    def secret(self, **_: Any) -> None:
        self.picked.append("secret")


class Clicker(ipyvue.Html):  # type: ignore[misc]
    """A widget such as a button, which takes an event once somebody listens to it."""

    def __init__(self) -> None:
        super().__init__(tag="button")
        self.clicked: list[Any] = []
        self.on_event("click", lambda _widget, _event, data: self.clicked.append(data))


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the libraries' own handlers back afterwards."""
    for owner, name in (
        (TemplateEvents, "_handle_event"),
        (WidgetEvents, "_handle_event"),
        (Widget, "handle_control_comm_opened"),
    ):
        monkeypatch.setattr(owner, name, vars(owner)[name])


@pytest.fixture
def guarded(handlers: None) -> None:  # noqa: ARG001
    guard_widgets()


def tell(widget: Any, content: Any) -> None:
    """Give a widget a message as if it came from the browser."""
    data = {"method": "custom", "content": content}
    widget._handle_msg({"content": {"data": data}, "buffers": []})


def attack(module: str, name: str = "anything") -> dict[str, Any]:
    return {"create_widget": [module, name], "props": {}, "id": "made-up"}


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module that shows when it was imported."""
    (tmp_path / "norms_trap.py").write_text("anything = dict\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "norms_trap", raising=False)
    return "norms_trap"


@pytest.mark.usefixtures("handlers")
def test_without_the_guard_a_page_can_import_any_module(trap: str) -> None:
    """What is stopped below does happen otherwise."""
    tell(Picker(), attack(trap))
    assert trap in sys.modules


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("kind", [Picker, Clicker])
def test_a_widget_makes_no_widget_of_a_class_that_the_page_names(kind: Any, trap: str) -> None:
    widget = kind()
    tell(widget, attack(trap))
    tell(widget, {**attack(trap), "event": "pick"})
    assert trap not in sys.modules


@pytest.mark.usefixtures("guarded")
def test_a_widget_calls_nothing_and_changes_nothing_on_command() -> None:
    widget = Picker()
    call = {"functionRef": "secret", "args": []}
    tell(widget, {"update_ref": call, "id": widget.model_id, "prop": "template"})
    tell(widget, {"create_widget": ["builtins", "dict"], "props": {"a": call}, "id": "x"})
    tell(widget, {"destroy_widget": widget.model_id})
    assert widget.picked == []
    assert widget._component_instances == []


@pytest.mark.usefixtures("guarded")
def test_ordinary_events_get_through() -> None:
    picker, clicker = Picker(), Clicker()
    tell(picker, {"event": "pick", "data": 3})
    tell(clicker, {"event": "click", "data": {"x": 1}})
    assert picker.picked == [3]
    assert clicker.clicked == [{"x": 1}]


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("event", ["", "secret", "_handle_event", "close", None, 3, ["pick"]])
def test_events_that_a_widget_has_not_are_passed_over(
    event: Any, caplog: pytest.LogCaptureFixture
) -> None:
    picker, clicker = Picker(), Clicker()
    for widget in (picker, clicker):
        tell(widget, {"event": event, "data": 1})
        tell(widget, event)
    assert picker.picked == clicker.clicked == []
    assert "Traceback" not in caplog.text


# At the websocket, before Solara sees it


def message(kind: str, channel: str = "shell", **content: Any) -> dict[str, Any]:
    return {"header": {"msg_type": kind}, "channel": channel, "content": content}


def custom(content: Any) -> dict[str, Any]:
    return message("comm_msg", comm_id="x", data={"method": "custom", "content": content})


@pytest.mark.parametrize(
    "wanted",
    [
        message("kernel_info_request"),
        message("comm_info_request", target_name="jupyter.widget"),
        message("comm_open", comm_id="x", target_name="solara.control", data={}),
        message("comm_open", comm_id="x", target_name="jupyter.widget.control", data={}),
        message("comm_msg", comm_id="x", data={"method": "run", "args": {"path": "/"}}),
        message("comm_msg", comm_id="x", data={"method": "update", "state": {"v_model": 3}}),
        message("comm_msg", comm_id="x", data={"method": "request_state"}),
        message("comm_close", comm_id="x"),
        message("shutdown_request", channel="control"),
        custom({"event": "click", "data": {"create_widget": "only a word, deeper down"}}),
    ],
    ids=lambda it: it["header"]["msg_type"],
)
def test_what_a_page_needs_to_say_is_admitted_unchanged(wanted: dict[str, Any]) -> None:
    passed = admitted(json.dumps(wanted))
    assert passed is not None
    assert json.loads(passed) == wanted


@pytest.mark.parametrize(
    "unwanted",
    [
        message("execute_request", code="1"),
        message("inspect_request"),
        message("input_reply", channel="stdin", value="x"),
        message("comm_open", comm_id="x", target_name="jupyter.widget", data={"state": {}}),
        message("comm_open", comm_id="x", target_name="os.system"),
        message("comm_msg", comm_id="x", data={"method": "evict"}),
        message("comm_msg", comm_id="x", data={}),
        message("comm_msg", comm_id="x"),
        message("kernel_info_request", channel="iopub"),
        *(custom({command: ["os", "system"]}) for command in sorted(COMMANDS)),
        custom({"event": "click", "create_widget": ["os", "system"]}),
        custom(["create_widget"]),
        custom("create_widget"),
        {"header": {"msg_type": []}, "channel": "shell", "content": {}},
        {"header": {"msg_type": {}}, "channel": [], "content": None},
        {},
        [],
        None,
        1,
    ],
    ids=str,
)
def test_anything_else_is_refused(unwanted: Any) -> None:
    assert admitted(json.dumps(unwanted)) is None


def test_an_event_that_is_taken_goes_no_further() -> None:
    given = []

    def take(widget: Any, event: Any) -> bool:
        given.append((widget, event))
        return bool(event["event"] == "event_drawn")

    assert admitted(json.dumps(custom({"event": "event_drawn", "data": 3})), take) is None
    assert admitted(json.dumps(custom({"event": "click", "data": 3})), take) is not None
    assert admitted(json.dumps(message("comm_close", comm_id="x")), take) is not None
    assert [event["event"] for _, event in given] == ["event_drawn", "click"]


def test_what_is_twice_in_a_message_is_looked_at_as_it_goes_on() -> None:
    """Two readers may differ about which of two equal keys counts; only one is passed on."""
    text = json.dumps(custom({"event": "click"}))
    doubled = text.replace(
        '"content": {"event"', '"content": {"create_widget": []}, "content": {"event"'
    )
    passed = admitted(doubled)
    assert passed is not None
    assert "create_widget" not in passed


@pytest.mark.parametrize("text", [None, "", "{", "[" * 100_000, "\x00", '"\\ud800"'])
def test_what_is_no_message_is_refused(text: str | None) -> None:
    assert admitted(text) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(sorted(COMMANDS)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(sorted(COMMANDS)), JSON)
def test_no_message_to_a_widget_with_a_command_in_it_is_admitted(
    extra: Any, command: str, value: Any
) -> None:
    content = {**(extra if isinstance(extra, dict) else {"event": extra}), command: value}
    assert admitted(json.dumps(custom(content))) is None


@given(JSON)
def test_no_message_makes_the_filter_fail(anything: Any) -> None:
    for one in (anything, custom(anything), message("comm_msg", data=anything)):
        passed = admitted(json.dumps(one), take_drawn)
        assert passed is None or json.loads(passed) == one


# Against the real server


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with start_small_page() as served:
        yield served


def test_the_served_page_takes_events_and_no_commands(server: Served) -> None:
    """The same client, over the same way: an event arrives, the commands before it do nothing."""
    with Viewer(server) as viewer:
        viewer.run()
        picker = viewer.widget(said="nothing")
        call = {"functionRef": "vue_pick", "args": ["a command was obeyed"]}
        viewer.tell(picker, create_widget=["builtins", "dict"], props={"a": call}, id="made-up")
        viewer.tell(picker, update_ref=call, id=picker, prop="said")
        viewer.send("execute_request", code="raise SystemExit")
        viewer.tell(picker, event="pick", data="an agent")
        assert viewer.widget(said="an agent") == picker
        assert "a command was obeyed" not in json.dumps(viewer.heard)
    assert "refused a message" in server.complaints()
    assert "Traceback" not in server.complaints()


def test_a_page_cannot_make_widgets_on_the_server(server: Served) -> None:
    with Viewer(server) as viewer:
        viewer.run()
        made = "b" * 32
        viewer.send(
            "comm_open",
            comm_id=made,
            target_name="jupyter.widget",
            metadata={"version": "2.1.0"},
            data={
                "state": {
                    "_model_module": "@jupyter-widgets/controls",
                    "_model_module_version": "2.0.0",
                    "_model_name": "ButtonModel",
                    "_view_module": "@jupyter-widgets/controls",
                    "_view_module_version": "2.0.0",
                    "_view_name": "ButtonView",
                }
            },
        )
        viewer.say(made, method="request_state")
        viewer.settle()
        answered = [one for one in viewer.heard if one["content"].get("comm_id") == made]
        assert not answered


def test_what_one_viewer_asks_for_is_not_sent_to_another(server: Served) -> None:
    """ipywidgets alone has one place for all channels: whoever asked first heard for the rest."""
    with Viewer(server) as first, Viewer(server) as second:
        for viewer in (first, second):
            viewer.run()
        asked = first.open("jupyter.widget.control")
        first.settle()
        other = second.open("jupyter.widget.control")
        second.say(other, method="request_states")
        second.settle()
        second.heard.clear()
        first.say(asked, method="request_states")
        first.settle()
        second.settle()
        (states,) = (it for it in first.heard if said(it).get("method") == "update_states")
        assert states["content"]["comm_id"] == asked
        assert set(said(states)["states"]) >= set(first.widgets)
        assert not [it for it in second.heard if said(it)]
