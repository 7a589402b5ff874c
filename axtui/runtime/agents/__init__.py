"""The agents that come with axtui."""

from axtui.agent import Agent
from axtui.runtime.agents.coding import coding
from axtui.runtime.agents.demo import demo, researcher
from axtui.runtime.agents.planner import planner
from axtui.runtime.agents.shell import shell
from axtui.runtime.agents.text import echo, lowercase

BUILT_IN: tuple[Agent, ...] = (coding, demo, echo, lowercase, planner, researcher, shell)
DEFAULT = planner.id
# Those that ask a model by themselves, and are set up by `planner:` in the configuration.
WITH_MODEL = frozenset({coding.id, planner.id})
# What a model is better off without: it has the same by other means, or nothing to gain.
NOT_OFFERED = frozenset({demo.id, echo.id, planner.id, researcher.id, shell.id})
