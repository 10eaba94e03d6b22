"""Consul: what the fleet shares. The daemon and bgctl both speak to it through here."""
