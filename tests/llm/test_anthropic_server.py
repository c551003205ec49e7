"""The server that stands in for the Messages API: as strict as the real one, and as it is told."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest
from messages_api_rules import MODELS, check_body
from messages_server import FAULTS, Fault, MessagesServer, share_of_faults

from mesa_llm_norms.llm.prompt import name_schema

PLAIN = "claude-test-1"
THINKING = "claude-test-thinking-1"
UNSTRUCTURED = "claude-test-plain-1"


def body_of(model: str = PLAIN, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "Pick."}],
    }
    body.update(changes)
    return {key: value for key, value in body.items() if value is not None}


@pytest.mark.parametrize(
    ("body", "version", "status", "says"),
    [
        (body_of(max_tokens=None), 1, 400, "max_tokens: Field required"),
        (body_of(temperature=1), 1, 400, "temperature: Extra inputs are not permitted"),
        (body_of(top_p=0.5), 1, 400, "top_p: Extra inputs are not permitted"),
        (body_of(THINKING, temperature=1), 0, 400, "deprecated for this model"),
        (body_of(temperature=2), 0, 400, "temperature"),
        (body_of(seed=1), 0, 400, "seed: Extra inputs are not permitted"),
        (body_of(THINKING, thinking={"type": "disabled"}), 1, 400, "thinking.type"),
        (body_of(output_config={"effort": "low"}), 1, 400, "effort"),
        (body_of(UNSTRUCTURED, output_config={"format": {}}), 1, 400, "format"),
        (body_of(messages=[]), 1, 400, "messages"),
        (body_of("claude-nobody-9"), 1, 404, "model: claude-nobody-9"),
        ([], 1, 400, "object"),
    ],
)
def test_the_test_server_refuses_what_the_api_refuses(
    body: Any, version: int, status: int, says: str
) -> None:
    refusal = check_body(body, ("2023-06-01", "2026-10-21")[version], MODELS)
    assert refusal is not None
    assert refusal.status == status
    assert says in refusal.message


def test_the_test_server_takes_a_plain_call() -> None:
    assert check_body(body_of(temperature=0.5), "2023-06-01", MODELS) is None
    assert check_body(body_of(), "2026-10-21", MODELS) is None


def test_faults_follow_from_the_call_and_its_repetitions_not_from_the_order() -> None:
    bodies = [body_of(max_tokens=number) for number in range(1, 200)]

    def outcomes(order: list[dict[str, Any]]) -> dict[int, list[Fault | None]]:
        schedule = share_of_faults(0.3, FAULTS, seed=5)
        found: dict[int, list[Fault | None]] = {}
        for number, body in enumerate(order):
            found.setdefault(body["max_tokens"], []).append(schedule(number, body))
        return found

    forwards = outcomes(bodies + bodies)
    assert outcomes([*reversed(bodies), *bodies]) == forwards
    faults = [fault for pair in forwards.values() for fault in pair if fault is not None]
    assert 80 <= len(faults) <= 160
    assert {fault.kind for fault in faults} == {fault.kind for fault in FAULTS}
    assert any(first != again for first, again in forwards.values())


def post(url: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
    """Make a call without any SDK; return its status, headers and body."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    headers = {"authorization": "Bearer key", "anthropic-version": "2026-10-21", **headers}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, json.loads(content)


def test_an_answer_follows_from_the_body_alone() -> None:
    bodies = [body_of(messages=[{"role": "user", "content": str(n)}]) for n in range(20)]
    schema = name_schema(["Q", "M"])
    for body in bodies[:10]:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    heard = []
    for order in (bodies, bodies[::-1]):
        with MessagesServer() as server:
            heard.append([(post(server.url, body)[2], body) for body in order])
            assert server.answered == [received.body for received in server.requests] == order
    assert heard[0] == heard[1][::-1]
    texts = [message["content"][0]["text"] for message, _ in heard[0]]
    assert set(texts[:10]) == {'{"name": "Q"}', '{"name": "M"}'}
    assert set(texts[10:]) == {"Q", "M"}


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"authorization": ""}, 401, "authentication_error"),
        ({"authorization": "Bearer wrong"}, 401, "authentication_error"),
        ({"anthropic-version": "2020-01-01"}, 400, "invalid_request_error"),
    ],
)
def test_an_error_has_the_shape_of_the_api_s(
    headers: dict[str, str], status: int, kind: str
) -> None:
    with MessagesServer(key="key") as server:
        found = post(server.url, body_of(), **headers)
        assert (server.answered, server.in_flight) == ([], 0)
    assert found[0] == status
    assert found[1]["request-id"] == found[2]["request_id"]
    assert found[2]["type"] == "error"
    assert found[2]["error"]["type"] == kind


def test_an_answer_that_breaks_down_fails_the_test() -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError),
        MessagesServer(answer=broken) as server,
        pytest.raises(http.client.RemoteDisconnected),
    ):
        post(server.url, body_of())
