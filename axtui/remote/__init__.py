"""Controllers and agents elsewhere: gRPC, and all that it takes."""

import os

# What gRPC has to say would be written over whatever is on the screen; and nothing here forks
# without starting another program.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
