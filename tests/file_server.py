"""A server of files on this machine, with the good and bad manners of servers elsewhere."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served, how, and what was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path, ``"/a.npz"``."""
    ranges: bool = True
    """Whether parts of a file can be had."""
    tag: str = '"1"'
    """Version of the files, empty: none is told."""
    cut: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off, one number an answer."""
    status: list[int] = field(default_factory=list)
    """Statuses of the next answers instead of the right ones."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and range of every request."""

    def url(self, name: str, content: bytes) -> str:
        """Serve a file."""
        self.files[f"/{name}"] = content
        return f"{self.address}/{name}"


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server that ends with the block."""
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, served)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, served: FileServer) -> None:
    asked = request.headers.get("Range")
    served.asked.append((request.path, asked))
    content = served.files.get(request.path)
    status = served.status.pop(0) if served.status else 404 if content is None else 200
    if content is None or status != 200:
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    start, valid = 0, request.headers.get("If-Range", served.tag) == served.tag
    if served.ranges and asked is not None and valid:
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
        status = 206 if start < len(content) else 416
    request.send_response(status)
    if status == 206:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if served.tag:
        request.send_header("ETag", served.tag)
    body = b"" if status == 416 else content[start:]
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: served.cut.pop(0)] if served.cut else body)
