"""A small proxy before the real MLflow server that can behave as badly as a network and a broken server do."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import threading
import time

GARBAGE = b'{"registered_models": [{"name": 7, "aliases": "none"}, null], "next_page_token": {}}'


class Proxy:
    """Passes requests on, or does not.

    Attributes:
        mode: ``pass``; ``down`` cuts every connection; ``garbage`` answers JSON that is none of MLflow's; ``noise`` answers bytes
            that are not even JSON; ``errors`` answers 500; ``slow`` answers rightly, two seconds late; ``no-artifacts`` fails for
            files only.
        asked: requests that came.
    """

    def __init__(self, port):
        self.mode = "pass"
        self.asked = 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    super().handle_one_request()

            def pass_on(self):
                proxy.asked += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                mode = proxy.mode
                if mode == "down":
                    self.close_connection = True
                    with contextlib.suppress(OSError):
                        self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if mode == "slow":
                    time.sleep(2)
                if mode in ("garbage", "noise", "errors") or (mode == "no-artifacts" and "mlflow-artifacts" in self.path):
                    status = 200 if mode in ("garbage", "noise") else 500
                    self.answer(status, {"garbage": GARBAGE, "noise": b"\x00\xff<html>"}.get(mode, b"Internal Server Error"))
                    return
                line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                try:
                    line.request(self.command, self.path, body, {**self.headers, "Connection": "close"})
                    found = line.getresponse()
                    self.answer(found.status, found.read(), found.getheader("content-type", ""))
                finally:
                    line.close()

            def answer(self, status, body, kind="application/json"):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 - the names that the class looks for

            def log_message(self, *_):
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
