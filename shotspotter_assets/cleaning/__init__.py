"""From raw alerts to the tidy, typed table that everything else is built on."""
