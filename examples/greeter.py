"""Signs a guest book for whoever is named, once somebody agrees."""

from pathlib import Path

from axtui.agent import Context, agent, call


def sign(name: str) -> None:
    with Path(call().workspace, "guests.txt").open("a") as book:
        book.write(f"{name}\n")


@agent
async def greeter(ctx: Context) -> str:
    if not await ctx.approve(f"Let {ctx.input} sign the guest book?"):
        return "Another time, then."
    await ctx.step(sign, ctx.input)
    ctx.state["guests"] = ctx.state.get("guests", 0) + 1
    return f"Hello {ctx.input}, guest {ctx.state['guests']}."
