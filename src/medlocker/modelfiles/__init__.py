"""Model files of strangers and their cards, opened with limits."""
