"""nginx: its adapter, its flags, its loss-free reload, its check, its proof."""

from bgd.proxy.nginx.nginx import Nginx

__all__ = ["Nginx"]
