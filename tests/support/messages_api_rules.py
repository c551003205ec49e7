"""What the Messages API accepts and answers, as functions: the test server without its HTTP.

Checked here is what the real API checks of the calls this package makes, with its own statuses,
types of error and shapes of body, so that a call it would refuse is refused in the tests too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

VERSIONS = ("2023-06-01", "2026-10-21")
SAMPLING = ("temperature", "top_p", "top_k")
FIELDS = {
    *("model", "max_tokens", "messages", "system", "metadata", "stop_sequences", "stream"),
    *("thinking", "output_config", "tools", "tool_choice", "service_tier", "cache_control"),
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING = ("adaptive", "between_tools", "disabled", "enabled")
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@dataclass(frozen=True)
class Model:
    """What a model can do; ``tells`` whether the models endpoint gives its capabilities."""

    structured: bool = True
    thinking: tuple[str, ...] = ("disabled", "enabled")
    effort: tuple[str, ...] = ()
    sampling: bool = True
    thinks: bool = False
    lifecycle: str = "active"
    tells: bool = True

    def info(self, model: str) -> dict[str, Any]:
        """Return the body with which the models endpoint describes it."""

        def supported(names: Sequence[str], which: Sequence[str]) -> dict[str, Any]:
            return {name: {"supported": name in which} for name in names}

        capabilities = {
            "structured_outputs": {"supported": self.structured},
            "effort": {"supported": bool(self.effort), **supported(EFFORTS, self.effort)},
            "thinking": {
                "supported": self.thinks or "enabled" in self.thinking,
                "types": supported(THINKING, self.thinking),
            },
        }
        return {
            "type": "model",
            "id": model,
            "display_name": model,
            "created_at": "2026-10-01T00:00:00Z",
            "lifecycle": self.lifecycle,
            "max_tokens": 64_000,
            "capabilities": capabilities if self.tells else None,
        }


MODELS: Mapping[str, Model] = {
    "claude-test-1": Model(),
    "claude-test-thinking-1": Model(
        thinking=("adaptive",), effort=EFFORTS[:3], sampling=False, thinks=True
    ),
    "claude-test-between-1": Model(
        thinking=("adaptive", "between_tools"), effort=EFFORTS, sampling=False, thinks=True
    ),
    "claude-test-plain-1": Model(structured=False),
}


@dataclass(frozen=True)
class Answer:
    """What a model says: ``text``, or other ``content``; or ``raw``, a body that may be anything.

    ``usage`` is put over the usage that follows from the texts.
    """

    text: str | None = None
    stop: str | None = "end_turn"
    content: Sequence[Mapping[str, Any]] | None = None
    usage: Mapping[str, Any] | None = None
    raw: bytes | None = None
    media: str = "application/json"


class Refusal(NamedTuple):
    """Why a call is answered with an error."""

    status: int
    message: str


def error_body(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    """Return the body of an error as the API gives it."""
    error: dict[str, Any] = {"type": TYPES.get(status, "api_error"), "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": "req_test"}


def check_headers(headers: Mapping[str, str], key: str | None) -> Refusal | None:
    """Return what is wrong with the headers of a call, if anything is."""
    given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    if not given:
        return Refusal(401, "x-api-key or authorization header is required")
    if key is not None and given != key:
        return Refusal(401, "invalid x-api-key")
    if "anthropic-version" not in headers:
        return Refusal(400, "anthropic-version: header is required")
    if headers["anthropic-version"] not in VERSIONS:
        return Refusal(400, f"anthropic-version: {headers['anthropic-version']!r} is not valid")
    return None


def check_body(body: Any, version: str, models: Mapping[str, Model]) -> Refusal | None:
    """Return what is wrong with the body of a call, if anything is."""
    if not isinstance(body, dict):
        return Refusal(400, "the body is not a JSON object")
    for field in ("model", "max_tokens", "messages"):
        if field not in body:
            return Refusal(400, f"{field}: Field required")
    for field in body:
        if field not in FIELDS and not (field in SAMPLING and version == VERSIONS[0]):
            return Refusal(400, f"{field}: Extra inputs are not permitted")
    model = models.get(body["model"])
    if model is None or model.lifecycle == "retired":
        return Refusal(404, f"model: {body['model']}")
    for field in SAMPLING:
        if field in body and not model.sampling:
            return Refusal(400, f"`{field}` is deprecated for this model.")
    if not 0 <= body.get("temperature", 0) <= 1:
        return Refusal(400, "temperature: range: 0..1")
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return Refusal(400, "max_tokens: Input should be greater than or equal to 1")
    if body.get("stream"):
        return Refusal(400, "stream: this server does not stream")
    return (
        _check_messages(body["messages"])
        or _check_thinking(body.get("thinking"), model)
        or _check_output(body.get("output_config", {}), model)
    )


def _check_messages(messages: Any) -> Refusal | None:
    if not isinstance(messages, list) or not messages:
        return Refusal(400, "messages: at least one message is required")
    for place, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            return Refusal(400, f"messages.{place}.role: Input should be 'user' or 'assistant'")
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            return Refusal(400, "messages: text content blocks must be non-empty")
    return None


def _check_thinking(thinking: Any, model: Model) -> Refusal | None:
    if thinking is None or (isinstance(thinking, dict) and thinking.get("type") in model.thinking):
        return None
    return Refusal(400, "thinking.type: not supported by this model")


def _check_output(config: Any, model: Model) -> Refusal | None:
    if not isinstance(config, dict) or config.keys() - {"effort", "format"}:
        return Refusal(400, "output_config: Extra inputs are not permitted")
    if "effort" in config and config["effort"] not in model.effort:
        return Refusal(400, "output_config.effort: not supported by this model")
    if "format" not in config:
        return None
    if not model.structured:
        return Refusal(400, "output_config.format: not supported by this model")
    schema = config["format"].get("schema", {})
    if config["format"].get("type") != "json_schema" or schema.get("type") != "object":
        return Refusal(400, "output_config.format: Input should be a JSON schema of an object")
    if schema.get("additionalProperties") is not False:
        return Refusal(400, "output_config.format.schema: additionalProperties must be false")
    return None


def choose(body: Mapping[str, Any], names: Sequence[str]) -> Answer:
    """Answer with a name that follows from the system and user texts and the model alone.

    It is one of the schema's enum where there is a schema, in words and out of ``names`` where
    there is none.
    """
    told = [body["model"], body.get("system"), [m["content"] for m in body["messages"]]]
    schema = body.get("output_config", {}).get("format", {}).get("schema")
    pool = schema["properties"]["name"]["enum"] if schema else names
    name = pool[int.from_bytes(digest(told)[:8], "big") % len(pool)]
    return Answer(json.dumps({"name": name}) if schema else name)


def digest(content: Any) -> bytes:
    """Return a hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


def message(body: Mapping[str, Any], answer: Answer, model: Model) -> dict[str, Any]:
    """Return the message that an answer becomes; a model that thinks does so first."""
    content = [dict(block) for block in answer.content or ()]
    if answer.text is not None:
        content.append({"type": "text", "text": answer.text})
    thinks = model.thinks and body.get("thinking", {}).get("type") in (None, "adaptive")
    thought = 40 if thinks else 0
    if thinks:
        content.insert(0, {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"})
    told = [str(body.get("system", "")), *(str(m["content"]) for m in body["messages"])]
    usage = {
        "input_tokens": sum(len(text.split()) for text in told),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1 + len(answer.text or "") // 4 + thought,
        "output_tokens_details": {"thinking_tokens": thought},
        "service_tier": "standard",
        **(answer.usage or {}),
    }
    return {
        "id": f"msg_{digest(body).hex()[:24]}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": answer.stop,
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage,
    }
