"""The pure core: events in, knowledge and decisions out. No clock, no I/O, no logger."""
