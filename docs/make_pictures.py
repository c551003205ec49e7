"""Draw the pictures of the README, from one run with the defaults of the package.

``python docs/make_pictures.py`` writes ``docs/pictures/network.png`` (the names held after the
first rounds) and ``docs/pictures/rounds.png`` (the whole run). They are what
``mesa-llm-norms run --seed 6`` leaves, with and without ``--rounds 4``.
"""

from __future__ import annotations

from pathlib import Path

from mesa_llm_norms import NamingGame, plots
from mesa_llm_norms.core.metrics import Round

PICTURES = Path(__file__).parent / "pictures"
SEED = 6
EARLY = 4


def main() -> None:
    """Play the run and draw both pictures."""
    PICTURES.mkdir(exist_ok=True)
    model = NamingGame(rng=SEED)
    rounds: list[Round] = []
    while not model.converged:
        model.step()
        assert model.round is not None
        rounds.append(model.round)
        if len(rounds) == EARLY:
            figure = plots.plot_network(model.network.G, model.names_held, model.game.pool)
            plots.write_figure(figure, PICTURES / "network.png")
    plots.write_figure(plots.plot_rounds(rounds, model.game.pool), PICTURES / "rounds.png")


if __name__ == "__main__":
    main()
