"""What all tests share."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes to make or to run says something about the machine, not about axtui.
settings.register_profile("axtui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("axtui")

# What is thrown away is collected in any later test, also where the stack is at its end: it fails
# none. Pytest's own hook tells of it at length, for which there may be no room there.
sys.unraisablehook = lambda _: None

# A thousand interpreters are started: none is to compile axtui, and no worker the tests, anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, since a test often waits for processes of its own."""
    return max(2, (os.cpu_count() or 1) + 1)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Have a worker begin with neighbors, which share what is dear to make, unless it is told how;
    one that has done its own takes some of another."""
    if config.getoption("numprocesses", None) and config.getoption("dist") == "no":
        config.option.dist = "worksteal"
