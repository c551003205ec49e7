"""What a forecast rests on, and what speaks against beginning: sentences for whoever will pay."""

from __future__ import annotations

from collections.abc import Iterator

from mesa_llm_norms.forecast.description import count, dollars, in_words
from mesa_llm_norms.forecast.per_call import ADDED, BYTES_PER_TOKEN
from mesa_llm_norms.forecast.ranges import Range
from mesa_llm_norms.forecast.result import Forecast, ServerForecast
from mesa_llm_norms.minds.live import Calls


def assumptions(found: Forecast, prices_as_of: str) -> Iterator[str]:
    """Yield what is assumed, a sentence each."""
    if not found.servers:
        return
    for part in found.servers:
        yield from _of_server(part)
    yield (
        f"The game was played {found.simulated} times so. Of what chance decides, one case in ten "
        "is below a range and one in ten above it."
    )
    yield (
        f"A token is {BYTES_PER_TOKEN.low:g} to {BYTES_PER_TOKEN.high:g} bytes of a prompt, and a "
        f"server reads up to {ADDED.high:.0f} more a call, for a schema and the like."
    )
    yield (
        "Interactions are begun before their turn, and those beyond the end of a run count too. "
        "Calls that fail and replies of no use, which are asked for again, do not."
    )
    if found.usd is None or found.usd.high:
        yield f"Prices are those of {prices_as_of}, and nothing is read from a server's cache."


def _of_server(part: ServerForecast) -> Iterator[str]:
    name, alike = part.stand_in
    kind = "" if alike else ", for want of a recording of its kind"
    yield f"{part.server} is taken to play as {name} was recorded to{kind}."
    if part.once:
        yield f"{part.server} gives probabilities, so that equal prompts of all runs are one call."
    if part.once is None:
        yield (
            f"Whether {part.server} gives probabilities is not known before it is asked: if so, "
            "equal prompts of all runs are one call; if not, each decision is."
        )
    answer = part.call.answer
    yield (
        f"A reply of {part.server} is {_from(answer)} tokens and takes "
        f"{part.call.seconds.low:g} to {part.call.seconds.high:g} seconds."
    )
    thinking = part.call.thinking
    if thinking.low:
        yield f"{part.server} cannot be kept from thinking: {_from(thinking)} tokens a call."
    elif thinking.high:
        yield (
            f"Whether {part.server} thinks before it answers is not known: "
            f"{_from(thinking)} tokens a call."
        )


def _from(tokens: Range) -> str:
    return f"{tokens.low:.0f} to {tokens.high:,.0f}"


def warnings(found: Forecast, calls: Calls) -> Iterator[str]:
    """Yield why the runs may not come to their end, a sentence each."""
    needs: tuple[tuple[str, float | None, Range | None], ...] = (
        ("calls", calls.budget_calls, found.calls),
        ("tokens", calls.budget_tokens, found.read.plus(found.written)),
        ("US dollars", calls.budget_usd, found.usd),
    )
    for unit, budget, need in needs:
        if budget is None:
            continue
        if need is None:
            without = ", ".join(part.model for part in found.servers if part.usd is None)
            yield (
                f"There is no price for {without}, and so no keeping to a budget in dollars: give "
                "one in a file (prices=, --prices), or a budget in tokens."
            )
        elif budget < need.high:
            write = dollars if unit == "US dollars" else count
            likely = "will hardly do" if budget < need.expected else "may not do"
            yield (
                f"The budget of {budget:,.6g} {unit} {likely}: the forecast is "
                f"{in_words(need, write)}."
            )
