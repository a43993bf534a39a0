"""HTTP/1.1 with kept connections, and answers that are read while they come."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import weakref
from typing import Any, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from .errors import FramewellError

Params = Mapping[str, Any]


class Stream:
    """An answer in progress. Close it, or use it in a `with` statement."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.headers = response.headers

    def read1(self) -> bytes:
        """What has arrived; empty at the end."""
        return self._response.read1(1 << 16)

    def read(self, count: int) -> bytes:
        """So many bytes; fewer at the end only."""
        return self._response.read(count)

    def readline(self) -> bytes:
        """A line with its end; empty at the end."""
        return self._response.readline()

    def close(self) -> None:
        """Ends the answer at once; the server stops making it."""
        self._response.close()
        self._connection.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Http:
    """One server and one credential; may be used from several threads."""

    def __init__(self, base: str, authorization: str, timeout: float) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base!r} is no address such as http://127.0.0.1:8080")
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._authorization = authorization
        self._timeout = timeout
        self._kept = threading.local()
        self._open: "weakref.WeakSet[http.client.HTTPConnection]" = weakref.WeakSet()

    def get(self, path: str, params: Optional[Params] = None) -> Tuple[http.client.HTTPMessage, bytes]:
        """Headers and body of an answer."""
        return self._whole("GET", path, params, None)

    def json(self, method: str, path: str, params: Optional[Params] = None, body: Any = None) -> Any:
        """The JSON of an answer; `None` if it is empty."""
        _, content = self._whole(method, path, params, body)
        return json.loads(content) if content else None

    def stream(self, path: str, params: Optional[Params] = None, timeout: Optional[float] = None) -> Stream:
        """An answer that is read while it comes, on a connection of its own."""
        connection = self._connect(self._timeout if timeout is None else timeout)
        try:
            response = self._send(connection, "GET", path, params, None)
        except BaseException:
            connection.close()
            raise
        return Stream(connection, response)

    def _whole(
        self, method: str, path: str, params: Optional[Params], body: Any
    ) -> Tuple[http.client.HTTPMessage, bytes]:
        connection = getattr(self._kept, "connection", None)
        is_kept = connection is not None
        if connection is None:
            connection = self._connect(self._timeout)
            self._open.add(connection)
        try:
            response = self._send(connection, method, path, params, body)
            content = response.read()
        except FramewellError:
            # The answer was read to its end.
            self._kept.connection = connection
            raise
        except (http.client.BadStatusLine, BrokenPipeError, ConnectionResetError):
            self._drop(connection)
            # The server closed a connection that was idle; it has not seen the request. Only what
            # changes nothing is sent again.
            if is_kept and method == "GET":
                return self._whole(method, path, params, body)
            raise
        except BaseException:
            self._drop(connection)
            raise
        self._kept.connection = connection
        return response.headers, content

    def close(self) -> None:
        """Closes the kept connections of all threads; a later request opens one anew."""
        for connection in list(self._open):
            connection.close()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._kept.connection = None

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        params: Optional[Params],
        body: Any,
    ) -> http.client.HTTPResponse:
        query = urlencode([(name, _text(value)) for name, value in (params or {}).items() if value is not None])
        target = f"{self._prefix}{path}?{query}" if query else f"{self._prefix}{path}"
        headers = {"Authorization": self._authorization}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection.request(method, target, body=content, headers=headers)
        response = connection.getresponse()
        if response.status >= 400:
            retry_after = response.headers.get("Retry-After")
            raise FramewellError.of_answer(response.status, retry_after, response.read())
        return response


def _text(value: Any) -> str:
    """A parameter as the server reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(_text(item) for item in value)
    return str(value)


Part = Tuple[Mapping[str, str], bytes]


def parts(stream: Stream) -> Iterator[Part]:
    """The parts of a multipart answer (RFC 2046 section 5.1) as they arrive: headers in lower case, and body.

    Each has a `Content-Length`, and is given out as soon as it is whole. The same for parts that replace each other
    (`multipart/x-mixed-replace`).
    """
    boundary = stream.headers.get_param("boundary")
    if not boundary:
        raise FramewellError("bad_answer", "the answer is not multipart")
    delimiter = f"--{boundary}".encode()
    while True:
        line = stream.readline()
        if not line:
            raise ConnectionError("the answer stopped before its end")
        line = line.rstrip(b"\r\n")
        if not line:
            continue
        if line == delimiter + b"--":
            return
        if line != delimiter:
            raise FramewellError("bad_answer", "a part does not begin with the boundary")
        headers = _headers(stream)
        if not headers:
            # A delimiter that was sent ahead, and then the end came.
            continue
        length = int(headers["content-length"])
        body = stream.read(length)
        if len(body) < length:
            raise ConnectionError("the answer stopped in a part")
        yield headers, body


def _headers(stream: Stream) -> Mapping[str, str]:
    headers = {}
    while True:
        line = stream.readline()
        if not line:
            raise ConnectionError("the answer stopped in the headers of a part")
        text = line.decode("latin-1").rstrip("\r\n")
        if not text:
            return headers
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
