"""A TCP proxy, in the place of an ingress: `python3 proxy.py LISTEN-PORT HOST PORT`.

Says `listening`, then a line for each connection that it passed on. Ends with its input.
"""

import socket
import sys
import threading


def pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(listener, target):
    while True:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(target, timeout=5)
        except OSError:
            client.close()
            continue
        server.settimeout(None)
        print("connection", flush=True)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=pump, args=ends, daemon=True).start()


def main():
    port, host, target = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    listener = socket.create_server(("", port))
    threading.Thread(target=serve, args=(listener, (host, target)), daemon=True).start()
    print("listening", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
