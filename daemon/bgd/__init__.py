"""bgd: keeps one load balancer on the colour that Consul names."""

__version__ = "0.1.0"
