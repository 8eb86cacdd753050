"""An S3 server that obeys what nobody signed, as MinIO did, before the real one.

It passes requests on. A copy to a presigned address it makes itself when the signature is right
without the header that asks for the copy.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.ports import free_port
from tests.servers.s3 import S3

_SOURCE = "x-amz-copy-source"
_HOPS = ("connection", "expect", "transfer-encoding")
Answer = tuple[int, list[tuple[str, str]], bytes]


@contextmanager
def lax_s3(behind: S3) -> Iterator[S3]:
    """Serve before an S3 server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            source = self.headers.get(_SOURCE)
            if source and "X-Amz-Signature" in self.path:
                del self.headers[_SOURCE]
                status, headers, text = self._passed_on(body)
                if status == 200:
                    text = b""
                    _copy(behind, self.path, unquote(source))
            else:
                status, headers, text = self._passed_on(body)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - http.server's names

        def _passed_on(self, body: bytes) -> Answer:
            with closing(HTTPConnection("127.0.0.1", behind.port, timeout=30)) as connection:
                connection.putrequest(self.command, self.path, skip_host=True)
                for name, value in self.headers.items():
                    if name.lower() not in _HOPS:
                        connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                kept = [each for each in answer.getheaders() if each[0].lower() not in _HOPS]
                return answer.status, kept, answer.read()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield S3(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _copy(behind: S3, target: str, source: str) -> None:
    """Copy an object into a part, as the account that signed the address may."""
    address = urlsplit(target)
    bucket, _, key = unquote(address.path).removeprefix("/").partition("/")
    query = parse_qs(address.query)
    behind.client().upload_part_copy(
        Bucket=bucket,
        Key=key,
        PartNumber=int(query["partNumber"][0]),
        UploadId=query["uploadId"][0],
        CopySource=source.removeprefix("/"),
    )
