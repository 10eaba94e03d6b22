"""The least possible follower: one blocking query over the keys, and `set map` for what changed.

It checks nothing, proves nothing, keeps nothing: the limit that any daemon in Python can come near to.

    python -m bench.follower CONSUL_PORT PREFIX RUNTIME_SOCKET MAP
"""

import base64
import http.client
import json
import socket
import sys


def set_map(path: str, line: str) -> None:
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(path)
        runtime.sendall(line.encode())
        while runtime.recv(4096):
            pass


def main(consul_port: int, prefix: str, runtime_socket: str, map_path: str) -> None:
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
                app, colour = pair["Key"].split("/")[-2], base64.b64decode(pair["Value"]).decode()
                set_map(runtime_socket, f"set map {map_path} {app} {app}_{colour}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:5])
