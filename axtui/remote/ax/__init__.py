"""The services of Google AX, for clients that speak its protocol."""
