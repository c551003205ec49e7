"""Reports as HTML: one page that needs nothing else, every text in it escaped."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence

from mesa_llm_norms.analysis.intervals import Estimate

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
.verdict { border-left: 6px solid #0072B2; background: #f3f7fa; padding: .1rem 1.2rem; }
.flagged { border-color: #D55E00; background: #fdf4ee; }
.verdict ul { padding-left: 1.2rem; } li { margin: .3rem 0; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 14px; overflow-wrap: normal; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #ddd;
         vertical-align: top; }
th { vertical-align: bottom; } td { font-variant-numeric: tabular-nums; }
img { width: 100%; min-width: 40rem; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1.2rem; }
.note { color: #555; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page whose body is ``parts``; only the title is escaped here."""
    body = "\n".join((f"<h1>{escaped(title)}</h1>", *parts))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table; every cell is text and nothing in it is read as HTML."""
    return [
        '<div class="wide"><table>',
        "<tr>" + "".join(f"<th>{escaped(cell)}</th>" for cell in head) + "</tr>",
        *("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows),
        "</table></div>",
    ]


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph, of a class of the style if one is named."""
    return f'<p class="{kind}">{escaped(text)}</p>' if kind else f"<p>{escaped(text)}</p>"


def bullets(texts: Iterable[str]) -> list[str]:
    """Return a list of sentences."""
    return ["<ul>", *(f"<li>{escaped(text)}</li>" for text in texts), "</ul>"]


def glossary(words: Mapping[str, str]) -> list[str]:
    """Return what each word means, the words as they head the columns of tables."""
    pairs = (f"<dt>{escaped(word)}</dt><dd>{escaped(it)}</dd>" for word, it in words.items())
    return ["<dl>", *pairs, "</dl>"]


def figure(svg: bytes, words: str) -> str:
    """Return an SVG file as a picture in the page, with words for who cannot see it."""
    data = base64.b64encode(svg).decode("ascii")
    source = f"data:image/svg+xml;base64,{data}"
    return f'<div class="wide"><img alt="{escaped(words)}" src="{source}"></div>'


def estimate_text(found: Estimate, form: str = ".3f", beyond: str = "more") -> str:
    """Return an estimate with its interval, which keeps to one line, alone where it is known.

    What is no number is ``none``, what is infinite ``beyond``.
    """
    if found.low == found.high or not math.isfinite(found.value):
        return _number(found.value, form, beyond)
    value, low, high = (_number(bound, form, beyond) for bound in found)
    interval = f"({low} to {high})".replace(" ", "\N{NO-BREAK SPACE}")
    return f"{value} {interval}"


def p_text(p_value: float | None) -> str:
    """Return a p-value to three places; None is of what is known, nan of what has no test."""
    if p_value is None:
        return "known"
    if math.isnan(p_value):
        return "none"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def capital(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]


def escaped(text: str) -> str:
    """Return a text in which nothing is read as HTML."""
    return html.escape(text)


def _number(value: float, form: str, beyond: str) -> str:
    if math.isnan(value):
        return "none"
    return beyond if value == math.inf else format(value, form)
