"""A tool server behind a URL, without manners: it speaks 2025-11-25 over plain HTTP.

Each tool misbehaves in the way it is named after. With a `secret` it wants a token, and hands
tokens out.
"""

import json
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from threading import Event, Thread
from typing import Any

MIB = b"x" * (1 << 20)


class Web(ThreadingHTTPServer):
    """The server, and what has happened in it."""

    daemon_threads = True

    def __init__(self, secret: str = "", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.secret = secret
        self.sessions = 0
        self.ended: list[str] = []
        self.tokens = 0
        self.go_on = Event()
        self._connections: list[socket] = []
        self.base = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.base}/mcp"
        self._thread = Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Close it, and every connection to it."""
        self.go_on.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        web = self.server
        if not web.secret or self.path == "/mcp":
            self._json(405, {})
        elif "protected-resource" in self.path:
            self._json(200, {"resource": web.url, "authorization_servers": [web.base]})
        else:
            made = {"issuer": web.base, "token_endpoint": f"{web.base}/token"}
            made["authorization_endpoint"] = f"{web.base}/authorize"
            self._json(200, {**made, "response_types_supported": ["code"]})

    def do_DELETE(self) -> None:
        self.server.ended.append(self.headers["mcp-session-id"])
        self._json(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/token":
            right = b64encode(f"me:{self.server.secret}".encode()).decode()
            if self.headers.get("authorization") != f"Basic {right}":
                self._json(401, {"error": "invalid_client"})
                return
            self.server.tokens += 1
            self._json(200, {"access_token": "let me in", "token_type": "Bearer"})
        elif self.server.secret and self.headers.get("authorization") != "Bearer let me in":
            self._json(401, {"error": "who are you?"})
        else:
            self._answer(json.loads(body))

    def _answer(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "initialize", "id": number}:
                self.server.sessions += 1
                result = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "web", "version": "1"},
                }
                self._result(number, result, {"mcp-session-id": str(self.server.sessions)})
            case {"method": "tools/list", "id": number}:
                names = [name[1:] for name in vars(_Handler) if name[:2] != "__" and name[0] == "_"]
                tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
                self._result(number, {"tools": tools})
            case {"method": "tools/call", "id": number, "params": {"name": name}}:
                with suppress(ConnectionError):
                    getattr(self, f"_{name}")(number)
            case {"id": number}:
                error = {"code": -32601, "message": "Method not found"}
                self._json(400, {"jsonrpc": "2.0", "id": number, "error": error})
            case _:
                self._begin(202, "text/plain", 0)

    def _begin(self, status: int, kind: str, length: int | None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self._begin(status, "application/json", len(body), **(headers or {}))
        self.wfile.write(body)

    def _result(self, number: int, result: Any, headers: dict[str, str] | None = None) -> None:
        self._json(200, {"jsonrpc": "2.0", "id": number, "result": result}, headers)

    def _hello(self, number: int) -> None:
        said = f"hello from session {self.headers['mcp-session-id']}"
        self._result(number, {"content": [{"type": "text", "text": said}]})

    def _page(self, number: int) -> None:
        self._begin(200, "text/html", 5)
        self.wfile.write(b"hello")

    def _busy(self, number: int) -> None:
        self._begin(503, "text/plain", 4)
        self.wfile.write(b"wait")

    def _limited(self, number: int) -> None:
        self._begin(429, "text/plain", 4)
        self.wfile.write(b"slow")

    def _wrong(self, number: int) -> None:
        error = {"code": -32602, "message": "no such color"}
        self._json(400, {"jsonrpc": "2.0", "id": number, "error": error})

    def _accepted(self, number: int) -> None:
        self._begin(202, "text/plain", 0)

    def _elsewhere(self, number: int) -> None:
        self._begin(307, "text/plain", 0, Location="http://example.org/mcp")

    def _zipped(self, number: int) -> None:
        self._begin(200, "application/json", 10, Content_Encoding="gzip")
        self.wfile.write(b"x" * 10)

    def _dropped(self, number: int) -> None:
        self.close_connection = True

    def _cut(self, number: int) -> None:
        self._begin(200, "application/json", 1000)
        self.wfile.write(b'{"jsonrpc": "2.0"')
        self.close_connection = True

    def _cut_events(self, number: int) -> None:
        self._begin(200, "text/event-stream", None)
        self.wfile.write(b"event: message\n")

    def _no_json(self, number: int) -> None:
        self._begin(200, "application/json", 5)
        self.wfile.write(b"hello")

    def _endless(self, number: int) -> None:
        self._begin(200, "application/json", None)
        for _ in range(1024):
            self.wfile.write(MIB)

    def _endless_event(self, number: int) -> None:
        self._begin(200, "text/event-stream", None)
        self.wfile.write(b"event: message\ndata: ")
        for _ in range(1024):
            self.wfile.write(MIB)

    def _gone(self, number: int, status: int = 404, code: int = -32001) -> None:
        if self.headers["mcp-session-id"] != "1":
            self._hello(number)
        else:
            error = {"code": code, "message": "Session not found"}
            self._json(status, {"jsonrpc": "2.0", "id": None, "error": error})

    def _gone_otherwise(self, number: int) -> None:
        self._gone(number, 400, -32000)

    def _slow(self, number: int) -> None:
        self.server.go_on.wait()
        self._hello(number)
