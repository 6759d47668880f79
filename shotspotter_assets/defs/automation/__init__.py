"""What starts runs without anyone's hand: arrivals, clocks, conditions, and who hears when something fails."""
