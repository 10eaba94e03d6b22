"""HAProxy: its adapter, its runtime and master sockets, its check, its proof."""

from bgd.proxy.haproxy.haproxy import HAProxy

__all__ = ["HAProxy"]
