"""What an answer cost."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse


def cost_usd(response: ModelResponse) -> float | None:
    """The list price in US dollars, from the price list that is installed; nothing is downloaded.

    None if it isn't known: a model or provider that is not on the list, or no word about usage.
    """
    if not response.usage.has_values():
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None
