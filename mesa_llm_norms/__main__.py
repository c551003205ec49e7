"""``python -m mesa_llm_norms`` is the command ``mesa-llm-norms``."""

from mesa_llm_norms.cli import main

if __name__ == "__main__":
    main()
