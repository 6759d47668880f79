"""Is the data what it should be: checks of the stored tables that say what is wrong, since when, and what to do."""
