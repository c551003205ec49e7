"""How a server is told that a reply may be a name of the pool and nothing else.

``grammar``  llama.cpp: a grammar in its notation, GBNF
``choice``   vLLM: the texts a reply may consist of
``schema``   many, Ollama among them: a JSON schema
``none``     the server takes nothing of the kind; only the prompt asks for a name

The strongest comes first. Where a server samples, it is told to do so by temperature alone: top-p,
top-k and their like are set to change nothing, where they would otherwise have another default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from mesa_llm_norms.minds.live.reading import name_schema, read_json, read_plain

Constraint: TypeAlias = Literal["grammar", "choice", "schema", "none"]

LISTED = 20
"""Of how many tokens probabilities are asked: no more, most servers refuse."""

LISTED_AT_MOST = 1_000
"""Likewise of llama.cpp, which has no limit of its own."""


def constrained(constraint: Constraint, pool: Sequence[str]) -> dict[str, Any]:
    """Return the fields by which a request holds the reply to ``pool``."""
    match constraint:
        case "grammar":
            return {
                "grammar": grammar(pool),
                "samplers": ["temperature"],
                # For servers built on llama.cpp that know grammars but not this list:
                "top_p": 1.0,
                "top_k": 0,
                "min_p": 0.0,
                "repeat_penalty": 1.0,
            }
        case "choice":
            return {
                "structured_outputs": {"choice": list(pool)},
                "top_p": 1.0,
                "top_k": -1,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
            }
        case "schema":
            schema = {"name": "choice", "strict": True, "schema": name_schema(pool)}
            return {
                "response_format": {"type": "json_schema", "json_schema": schema},
                "top_p": 1.0,
            }
        case "none":
            return {"top_p": 1.0}


def listed(constraint: Constraint, pool: Sequence[str]) -> dict[str, Any]:
    """Return the fields by which a request asks for the probabilities of tokens.

    The number asked for is in ``top_logprobs``. A name can begin with several tokens, so llama.cpp
    is asked for enough to have them all.
    """
    if constraint != "grammar":
        return {"logprobs": True, "top_logprobs": LISTED}
    number = min(LISTED + 8 * len(pool), LISTED_AT_MOST)
    return {"logprobs": True, "top_logprobs": number, "post_sampling_probs": True}


def grammar(pool: Sequence[str]) -> str:
    """Return the GBNF grammar of the names of ``pool``."""
    names = (name.replace("\\", "\\\\").replace('"', '\\"') for name in pool)
    return "root ::= " + " | ".join(f'"{name}"' for name in names)


def read(constraint: Constraint, text: str, pool: Sequence[str]) -> str | None:
    """Return the name that a reply under a constraint gives, or None."""
    return read_json(text, pool) if constraint == "schema" else read_plain(text, pool)
