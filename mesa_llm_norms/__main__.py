"""``python -m mesa_llm_norms`` and the script ``mesa-llm-norms``: the command.

Importing it takes a second, in which it can be ended as at any other time.
"""

from __future__ import annotations

from mesa_llm_norms.core.interrupts import install


def main() -> None:
    """Run the command line and exit."""
    install()
    from mesa_llm_norms.cli import main as command

    command()


if __name__ == "__main__":
    main()
