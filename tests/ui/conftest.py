"""What the tests of the screens share."""

from tests.remote.conftest import served

__all__ = ["served"]
