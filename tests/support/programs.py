"""Programs that a test starts, and that never outlive it."""

from __future__ import annotations

import subprocess
from typing import Any


class Program(subprocess.Popen[str]):
    """A process that is ended with the ``with`` block around it, however that ends."""

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)
