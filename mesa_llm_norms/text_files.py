"""Text that users write: read whole, and refused in one line where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import FileFormatError

MAX_BYTES = 20_000_000


def read_text(path: Path, remedy: str) -> str:
    """Return the contents of a file in UTF-8 of at most ``MAX_BYTES``.

    Raises ``FileFormatError`` with ``remedy`` for anything else.
    """
    try:
        if path.exists() and not path.is_file():
            raise FileFormatError(path, "it is no regular file", remedy)
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(path, f"it is larger than {MAX_BYTES:,} bytes", remedy)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = error.strerror or "it cannot be read"
        raise FileFormatError(path, problem, "Check the path.") from error
    except FileFormatError:
        raise
    except ValueError as error:
        raise FileFormatError(path, "it is not UTF-8 text", remedy) from error


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file; ``FileFormatError`` with ``remedy`` if there is none."""
    try:
        content = json.loads(read_text(path, remedy))
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"it is not JSON: {error}", remedy) from error
    if not isinstance(content, dict):
        raise FileFormatError(path, "it does not hold a JSON object", remedy)
    return content
