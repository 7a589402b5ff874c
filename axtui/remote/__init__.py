"""Controllers and agents elsewhere: gRPC, and all that it takes."""
