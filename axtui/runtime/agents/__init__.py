"""The agents that come with axtui."""

from axtui.agent import Agent
from axtui.runtime.agents.demo import demo, researcher
from axtui.runtime.agents.shell import shell
from axtui.runtime.agents.text import echo, lowercase

BUILT_IN: tuple[Agent, ...] = (demo, echo, lowercase, researcher, shell)
