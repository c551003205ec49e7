"""``python -m mesa_llm_norms.web.scenes``: how often each answer of each scene comes true."""

from mesa_llm_norms.web.scenes.measure import main

main()
