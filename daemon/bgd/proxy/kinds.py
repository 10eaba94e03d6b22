"""Which adapter and which machine belong to the settings: the one place that knows every kind of proxy."""

from bgd.config import ProxySettings
from bgd.proxy.adapter import Adapter
from bgd.proxy.machine import Here, Machine


def adapter(settings: ProxySettings, node: str) -> Adapter:
    """The proxy that the settings name. Only what is needed is imported."""
    machine = _machine(settings)
    if settings.kind == "nginx":
        from bgd.proxy.nginx import Nginx

        return Nginx(settings, machine, node)
    from bgd.proxy.haproxy import HAProxy

    return HAProxy(settings, machine, node)


def _machine(settings: ProxySettings) -> Machine:
    if not settings.container:
        return Here()
    from bgd.proxy.container import Container

    nginx = settings.kind == "nginx"
    return Container(settings.container, writes_folder=not nginx, on_host_network=nginx)
