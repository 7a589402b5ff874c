"""What the screens know, free of any terminal: actions, pages of the log, settings, themes."""
