"""Mesa's own page with the views of this package."""

from mesa.visualization import SolaraViz

from mesa_llm_norms import NamingGame
from mesa_llm_norms.web import names_chart, names_network

Page = SolaraViz(
    NamingGame(graph="ring(n=12)", names="QM", rng=3),
    components=[names_network, names_chart],
    name="Names",
)
