"""What an event is, and the fold. Pure data and functions."""
