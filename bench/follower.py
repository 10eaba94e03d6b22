"""The least possible follower: one blocking query over the keys, and one step for what changed.

It checks nothing, proves nothing, keeps nothing: the limit that any daemon in Python can come near to.

    python -m bench.follower CONSUL_PORT PREFIX haproxy RUNTIME_SOCKET MAP     the step is a `set map`
    python -m bench.follower CONSUL_PORT PREFIX nginx FOLDER                   … a flag file
"""

import base64
import http.client
import json
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.by_hand import flag


def set_map(runtime_socket: str, map_path: str, app: str, colour: str) -> None:
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(runtime_socket)
        runtime.sendall(f"set map {map_path} {app} {app}_{colour}\n".encode())
        while runtime.recv(4096):
            pass


def set_flag(folder: str, app: str, colour: str) -> None:
    path = flag(Path(folder), app)
    if colour == "green":
        path.touch()
    else:
        path.unlink(missing_ok=True)


STEPS: dict[str, Callable[..., None]] = {"haproxy": set_map, "nginx": set_flag}


def follow(consul_port: int, prefix: str, point: Callable[[str, str], None]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", consul_port)
    index, known = "0", dict[str, int]()
    while True:
        connection.request("GET", f"/v1/kv/{prefix}?recurse=&index={index}&wait=25s")
        answer = connection.getresponse()
        pairs = json.loads(answer.read())
        index = answer.headers["X-Consul-Index"]
        for pair in pairs:
            if known.get(pair["Key"]) != pair["ModifyIndex"]:
                known[pair["Key"]] = pair["ModifyIndex"]
                point(pair["Key"].split("/")[-2], base64.b64decode(pair["Value"]).decode())


if __name__ == "__main__":
    port, prefix, proxy, *where = sys.argv[1:]
    follow(int(port), prefix, partial(STEPS[proxy], *where))
