"""Serves the agents of modules: `python -m tests.runtime.actors.served ADDRESS NAME …`, where names
that end so are the files of a certificate, its key and the authority for clients.
"""

from __future__ import annotations

import importlib
import sys

from axtui.agent import Agent


def main(address: str, *names: str) -> None:
    files = [name for name in names if name.endswith((".pem", ".key"))]
    modules = [importlib.import_module(name) for name in names if name not in files]
    found = [value for module in modules for value in vars(module).values()]
    first, *others = [value for value in found if isinstance(value, Agent)]
    cert, key, client_ca = files or (None, None, None)
    first.serve(address, beside=others, cert=cert, key=key, client_ca=client_ca)


if __name__ == "__main__":
    main(*sys.argv[1:])
