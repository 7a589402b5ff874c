"""An agent that runs elsewhere: start it with `python remote_agent.py`, on any machine."""

from axtui.agent import Context, agent


@agent
async def lowercase(ctx: Context) -> str:
    """Says in lower case what it is told."""
    return ctx.input.lower()


if __name__ == "__main__":
    lowercase.serve("localhost:50051")
