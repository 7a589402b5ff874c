"""Serves the agents of agents.py from the folder that it is started in."""

from dataclasses import replace

from agents import child, mixed

if __name__ == "__main__":
    replace(mixed, id="served").serve(
        "unix:agents.sock", beside=[replace(child, id="child_served")]
    )
