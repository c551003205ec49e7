"""What a notebook shows of models, agents and ensembles, and keeps of it once it is saved.

Widgets are gone when the kernel is; a table and a picture in the notebook itself remain.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from mesa_llm_norms.core.game import others_of, payoff_of, success_label
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.model import NetworkGame
from mesa_llm_norms.plots.network import plot_network
from mesa_llm_norms.plots.runs import plot_ensemble, plot_rounds
from mesa_llm_norms.plots.style import figure_bytes

if TYPE_CHECKING:
    from mesa_llm_norms.network_model import NetworkModel
    from mesa_llm_norms.simulation.ensemble import Ensemble

MOST_NODES = 1_000
"""Nodes of the largest network that is drawn for a notebook."""

_MOST_RUNS = 5
"""Runs of an ensemble that are listed."""


def picture_html(figure: Figure | None) -> str:
    """Return a figure as HTML that holds it; nothing for None."""
    if figure is None:
        return ""
    image = base64.b64encode(figure_bytes(figure, "png")).decode()
    return f'<img src="data:image/png;base64,{image}" style="max-width: 100%; width: 640px">'


def network_figure(model: NetworkModel[Any]) -> Figure | None:
    """Return the network of a model with the names that are held; None for a large one."""
    graph, held = model.network.G, model.names_held
    if len(graph) > MOST_NODES:
        return None
    names = dict.fromkeys(name for name in held.values() if name is not None)
    pool = model.game.pool if isinstance(model, NetworkGame) else sorted(names)
    committed = {it.node: it.committed for it in model.players if it.committed is not None}
    return plot_network(graph, held, pool, committed)


def rounds_figure(model: NetworkGame) -> Figure | None:
    """Return success and shares by round, as the data collector has them; None before a round."""
    collected, pool = model.datacollector.model_vars, model.game.pool
    columns = [collected[name] for name in ("interactions", "success_rate")]
    shares = zip(*(collected[f"share_{name}"] for name in pool), strict=True)
    rounds = [
        Round(number, played, success, dict(zip(pool, of_names, strict=True)))
        for number, (played, success, of_names) in enumerate(zip(*columns, shares, strict=True))
        if success == success  # a round without interactions has none
    ]
    return plot_rounds(rounds, pool, success_label(model.game)) if rounds else None


def ensemble_figure(ensemble: Ensemble) -> Figure:
    """Return the figure of an ensemble."""
    game = ensemble.spec.game
    return plot_ensemble(ensemble.runs, ensemble.rounds, game.pool, success=success_label(game))


def model_png(model: NetworkModel[Any]) -> bytes | None:
    """Return the network of a model, for what shows no HTML; None for a large one."""
    figure = network_figure(model)
    return None if figure is None else figure_bytes(figure, "png")


def ensemble_png(ensemble: Ensemble) -> bytes:
    """Return the figure of an ensemble, for what shows no HTML."""
    return figure_bytes(ensemble_figure(ensemble), "png")


def model_html(model: Any) -> str:
    """Return how a model stands, with its network.

    Parameters
    ----------
    model : NetworkModel
        The model, of any game.

    Returns
    -------
    str
        HTML without scripts, in which everything of the model's is escaped.
    """
    graph = model.network.G
    said = {"nodes": len(graph), "edges": graph.number_of_edges(), **model.outcome._asdict()}
    return _table(type(model).__name__, said.items()) + picture_html(network_figure(model))


def agent_html(agent: Any) -> str:
    """Return what an agent is, holds and remembers, as ``model_html`` does."""
    said = [("node", agent.node), ("name", agent.name)]
    said += [(it, getattr(agent, it)) for it in ("committed", "score") if hasattr(agent, it)]
    if hasattr(agent, "mind"):
        said.append(("mind", agent.mind.label))
    for past in getattr(agent, "memory", ()):
        pays = payoff_of(past, agent.model.game)
        others = ", ".join(others_of(past))
        said.append(("remembers", f"{past[0]}, while others played {others}: {pays:+g} points"))
    if hasattr(agent, "inventory"):
        said.append(("inventory", ", ".join(map(str, agent.inventory))))
    return _table(type(agent).__name__, said)


def ensemble_html(ensemble: Ensemble) -> str:
    """Return how the runs of an ensemble ended, and its figure, as ``model_html`` does."""
    runs = ensemble.runs
    said = {
        "runs": len(runs),
        "converged": int(runs["converged"].sum()),
        "median interactions": runs["interactions"].median(),
        "winners": ", ".join(f"{name} {n}" for name, n in runs["winner"].value_counts().items()),
    }
    first = runs.head(_MOST_RUNS).to_html(index=False)
    return _table("Ensemble", said.items()) + picture_html(ensemble_figure(ensemble)) + first


def _table(title: str, pairs: Iterable[tuple[str, Any]]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(_said(value))}</td></tr>"
        for name, value in pairs
    )
    return f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"


def _said(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if type(value) is float else str(value)
