"""The game, its randomness, counts and stopping rules: no Mesa, no language models, no network.

``game`` has the rules, ``randomness`` every draw as a pure function, ``metrics`` and ``stopping``
what is counted and when a run stops. ``compiled`` has the loops of the kernel. ``event_loop`` runs
what has to be awaited, ``files`` reads and writes, and ``formatting`` writes numbers.
"""
