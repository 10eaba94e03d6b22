"""bgctl: what people and pipelines use to flip, to look and to wait."""
