"""``python -m mesa_llm_norms``: the command ``mesa-llm-norms``."""

from __future__ import annotations

from mesa_llm_norms.cli import main

if __name__ == "__main__":
    main()
