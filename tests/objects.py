"""An S3 of one's own on this machine, and a proxy before it that fails now and then."""

import random
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # else credentials are looked for in the network
}
_HOST = "127.0.0.1"
_PIECE = 1 << 16
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Storage:
    """An S3 that listens at a port of this machine."""

    port: int

    @property
    def endpoint(self) -> str:
        """Its address, as AWS_ENDPOINT_URL takes it."""
        return f"http://{_HOST}:{self.port}"

    def uri(self, path: str, secret: str = "") -> str:
        """Return a URI that names the endpoint itself; a secret is ``key:secret@``."""
        return f"s3://{secret}{BUCKET}/{path}?endpoint_override={_HOST}:{self.port}&scheme=http"

    def keys(self) -> set[str]:
        """Return the names of all objects."""
        return {found.key for found in self.bucket().objects.all()}

    def bucket(self) -> Any:
        """Return its only bucket, for boto3."""
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        region = {"region_name": CREDENTIALS["AWS_DEFAULT_REGION"]}
        return boto3.resource("s3", endpoint_url=self.endpoint, **keys, **region).Bucket(BUCKET)


@contextmanager
def storage() -> Iterator[Storage]:
    """Start an S3 with one empty bucket."""
    server = ThreadedMotoServer(_HOST, port=0, verbose=False)
    server.start()
    try:
        found = Storage(server.get_host_and_port()[1])
        found.bucket().create()
        yield found
    finally:
        server.stop()


class Failures:
    """Decides how connections fail: at once by 503, or cut off after some of the bytes.

    Attributes:
        told: How many have failed.
    """

    def __init__(self, most_bytes: int) -> None:
        """Cut every connection off after so many bytes at most."""
        self.most_bytes, self.told = most_bytes, 0
        self._random = random.Random(0)

    def next(self) -> int:
        """Return after how many bytes the next connection fails; 0: it is answered by 503."""
        self.told += 1
        return self._random.randrange(self.most_bytes) if self._random.randrange(3) else 0


@contextmanager
def failing_now_and_then(behind: Storage, failures: Failures) -> Iterator[Storage]:
    """Start a proxy before a storage whose connections fail."""
    lock = threading.Lock()

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            """Hand bytes on both ways until it is time to fail."""
            with lock:
                left = failures.next()
            if not left:
                self.request.recv(_PIECE)
                self.request.sendall(_BUSY)
                return
            with socket.create_connection((_HOST, behind.port)) as storage:
                ends = {self.request: storage, storage: self.request}
                while left > 0:
                    for end in select.select([*ends], [], [])[0]:
                        content = end.recv(_PIECE)
                        left -= len(content) if content else left
                        ends[end].sendall(content)

    with socketserver.ThreadingTCPServer((_HOST, 0), Proxy) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # the other side may have left
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Storage(server.server_address[1])
        finally:
            server.shutdown()
