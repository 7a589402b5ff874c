"""Write a commented axtui.yaml here, or the skeleton of an agent: `axtui init agent NAME`."""

from __future__ import annotations

import argparse
import keyword
import sys
from pathlib import Path

from axtui.cli.arguments import UsageError
from axtui.cli.output import print_json, print_text

# What the skeleton itself uses.
_TAKEN = frozenset({"agent", "axtui", "look_up"})
_CONFIG = """\
# What axtui is set up with. All of it is optional; what is commented out is the default, or an
# example. ${NAME} and ${NAME:-default} are filled from the environment. `axtui doctor` checks it.

# Models. Keys are only ever read from the environment: GEMINI_API_KEY, ANTHROPIC_API_KEY,
# OPENAI_API_KEY; the first one that is set chooses the model where nothing else does.
#models:
#  default: anthropic:claude-sonnet-5-5
#  # Other servers: openai stands for all that offer chat completions, such as vLLM or llama.cpp.
#  # A model in a file needs none: local:PATH.gguf, with `pip install 'axtui[local]'`.
#  providers:
#    vllm:
#      kind: openai                # or anthropic, gemini
#      base_url: http://127.0.0.1:8080/v1
#      key_env: VLLM_KEY           # the variable that holds its key, if it needs one

# The agents that work with a model, planner and coding.
#planner:
#  model: anthropic:claude-sonnet-5-5   # else models.default
#  system_prompt: "You tidy up folders, and tell what you did."   # in place of the agent's own
#  max_steps: 200                  # turns of the model before you are asked whether to go on
#  timeout: 10m                    # of one call of the model
#  history_chars: 600000           # a longer history is summed up
#  temperature: 0.2                # else the model's own, as with the next
#  max_tokens: 8000                # of one answer

# Agents of your own, beside the built-in ones. `axtui init agent NAME` writes a skeleton.
#agents:
#  - id: greeter
#    python: "greeter:greeter"     # module:object, imported from the folder axtui is started in
#    description: greets
#    timeout: 10m                  # of running time; waiting for a person doesn't count
#    isolation: process            # in a process of its own; or `inline`, in that of axtui

# Servers of tools, which speak MCP. Agents call a tool by SERVER.TOOL. `axtui tools` lists them.
#tools:
#  time:
#    command: [mcp-server-time]    # a program, or else `url: "https://…/mcp"`
#    env: {EXAMPLE: "text"}        # beside PATH, HOME and the like; a url has `headers` instead
#    approve: {"get_*": allow}     # allow, ask or deny, by the names that the server has
#    readonly: ["get_*"]           # which tools are so; without it, those the server says are
#    idempotent: ["convert_*"]     # likewise
#    timeout: 1m                   # of one call

# Where Agent Skills are, beside .axtui/skills and .agents/skills here and in your home folder.
#skills:
#  paths: ["skills"]

# Where commands are run, those of a model and those of the agent shell.
#environment:
#  sandbox: auto                   # bubblewrap where it works; bubblewrap: only so; none
#  network: false
#  workspace: ~/work               # else the folder axtui is started in
#  env: [EDITOR]                   # variables that commands get beside PATH, HOME, LANG and such
#  readable: [~/.cargo]            # folders that they may read beside the system's
#  # Of one command; of output, what is kept.
#  limits: {time: 10m, output: 1MiB, processes: 512, memory: 4GiB, file_size: 1GiB}

#policy:
#  # allow, ask or deny, by AGENT/TOOL(ARGUMENT), each part a glob, and only TOOL needed. The first
#  # that fits holds, those of tools.NAME.approve before these. Where none does, what a model
#  # chose asks, unless the tool is readonly.
#  approve:
#    "shell(git status*)": allow
#    "coding/*_file": allow
#    "drop_*": deny
#  # What a run may use before it asks for more.
#  budget:
#    steps: 10000
#    seconds: 24h
#    tokens: 2000000               # read and written by models; no limit if left out
#    cost_usd: 5                   # by list prices; no limit if left out
#  # Environment variables whose values are redacted wherever they turn up. This takes the place of
#  # the default: *API_KEY, *TOKEN, *SECRET*, *PASSWORD* and the like.
#  redact: ["*TOKEN", "DATABASE_URL"]

# Where `axtui serve` listens, and whom it lets in. Any address but one of this machine takes TLS,
# and tokens or client certificates. `axtui token create` makes tokens without a line here.
#server:
#  address: 127.0.0.1:8494
#  tls:                            # the files are read again when they change
#    cert: server.pem
#    key: server.key
#    client_ca: clients.pem        # clients need a certificate that it has signed
#    clients: {"ci-*": operator, "*": viewer}   # by common name; without this, all are admins
#  tokens:                         # the hash is the SHA-256 of the token
#    - name: ann
#      role: operator
#      hash: "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"
#      expires: 2027-01-31
#  # Of each client, and of all: calls at a time, new ones in a second, runs in flight.
#  limits:
#    {calls: 100, requests: 500, runs: 50, all_calls: 2000, all_requests: 5000, all_runs: 500,
#     message: 72MiB}

# The terminal UI. `?` in it shows all keys; docs/keys.md lists the actions.
#ui:
#  keymap: vim                     # or default, emacs
#  keys: {runs.cancel: "X", app.help: "question_mark,f1"}
#  theme: nord                     # else the one chosen last; `t` shows them all
#  ascii: true                     # else if the locale isn't UTF-8

# Where the log is. A relative name counts from this file's folder.
#eventlog:
#  sqlite:
#    filename: log.db
"""
_AGENT = '''\
"""An agent for axtui."""

from axtui.agent import Context, agent


def look_up(topic: str) -> str:
    """Whatever reaches outside belongs into a step: it is done once, and its outcome kept."""
    return f"all there is to know about {{topic}}"


@agent
async def {name}(ctx: Context) -> str:
    """Looks something up, if somebody agrees."""
    if not await ctx.approve(f"Look up {{ctx.input!r}}?"):
        return "Then not."
    found = await ctx.step(look_up, ctx.input, effect="readonly")
    return f"Here is {{found}}."
'''


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of init."""
    parser.add_argument(
        "what", nargs="?", choices=("config", "agent"), default="config", help="what to write"
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the agent")


async def run_alone(args: argparse.Namespace) -> int:
    """Write the file, unless there is one already."""
    if args.what == "config":
        if args.name is not None:
            raise UsageError("`axtui init config` takes no name")
        return _write(args, Path("axtui.yaml"), _CONFIG, "edit it; axtui reads it in this folder")
    name = _agent_name(args.name or "")
    hint = (
        "add it to axtui.yaml:\n"
        f'  agents:\n    - {{id: {name}, python: "{name}:{name}"}}\n'
        f"then: axtui exec --agent {name} --input TEXT"
    )
    return _write(args, Path(f"{name}.py"), _AGENT.format(name=name), hint)


def _agent_name(name: str) -> str:
    """The name of a module and of the function in it. Raises UsageError where it can't be."""
    hint = "a Python name, such as `axtui init agent greeter`"
    if not name:
        raise UsageError("the agent needs a name", hint)
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} can't be the name of an agent", hint)
    if name in _TAKEN or name in sys.stdlib_module_names:
        raise UsageError(f"a module {name!r} would hide another of that name", "choose another")
    return name


def _write(args: argparse.Namespace, path: Path, text: str, hint: str) -> int:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already", "it was left as it is") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if args.output == "json":
        print_json({"written": str(path)})
    else:
        print_text(f"wrote {path}; {hint}")
    return 0
