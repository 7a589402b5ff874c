"""A file per screen of the terminal UI."""
