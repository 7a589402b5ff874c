"""What all tests share."""

from hypothesis import HealthCheck, settings

# How long an example takes to make or to run says something about the machine, not about axtui.
settings.register_profile("axtui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("axtui")
