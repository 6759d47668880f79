"""From files of contributing factors to inputs of the forecast."""
