"""A frame as a figure file, drawn as on the command line."""

from __future__ import annotations

from mesa_llm_norms.viz.frame import Frame
from mesa_llm_norms.viz.source import Source


def picture(source: Source, frame: Frame, kind: str) -> bytes:
    """Return the network of a frame as the bytes of a ``png`` or ``svg`` file."""
    from mesa_llm_norms import plots

    graph = source.graph.copy()
    pool, nodes = source.pool, list(graph)
    places = [ord(code) - 48 for code in frame.codes]
    held = {
        node: pool[place] if place >= 0 else None for node, place in zip(nodes, places, strict=True)
    }
    return plots.figure_bytes(plots.plot_network(graph, held, pool, source.committed()), kind)
