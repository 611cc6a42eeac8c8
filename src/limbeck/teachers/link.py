"""One request to a server and its answer, with an end to every wait. Redirections are not followed."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from limbeck.errors import UserError
from limbeck.teachers.asking import Address

LARGEST = 2**28  # bytes of an answer
PIECE = 2**16


class NoAnswer(Exception):
    """A request failed in a way that may pass. wait: seconds that the server asks to wait for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Reply:
    """What a server sent: status, reason, headers by lower-case name, and body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Link:
    """A connection to a server, kept open between requests. connect, read, whole: seconds, see `Asking`.

    Certificates are verified against those of the system, or of $SSL_CERT_FILE.
    """

    def __init__(self, address: Address, connect: float, read: float, whole: float) -> None:
        self.address, self.connect, self.read, self.whole = address, connect, read, whole
        self._connection: http.client.HTTPConnection | None = None

    def send(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Send a body (POST), or ask for a path (GET), and return the reply.

        Raises NoAnswer where none came, not in time, or not as a whole; UserError for a certificate that is not
        trusted.
        """
        connection = self._open()
        late = threading.Event()
        timer = threading.Timer(self.whole, _cut, (connection.sock, late))
        timer.daemon = True
        timer.start()
        try:
            reply = _exchange(connection, path, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoAnswer(self._told(error, late.is_set())) from None
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
        if late.is_set():
            self.close()
            raise NoAnswer(self._told(TimeoutError(), True))
        return reply

    def close(self) -> None:
        """Close the connection, if there is one; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def _open(self) -> http.client.HTTPConnection:
        """Return a connection that is open, the last one where the server has not closed it."""
        kept = self._connection
        if kept is not None and kept.sock is not None and not select.select([kept.sock], [], [], 0)[0]:
            return kept
        self.close()
        self._connection = made = _connection_to(self.address, self.connect)
        try:
            made.connect()
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise UserError(
                f"The certificate of {self.address.host} is not trusted ({error.verify_message}); SSL_CERT_FILE may "
                f"name a file of authorities that you trust."
            ) from None
        except OSError as error:
            self.close()
            told = f"no connection within {self.connect:g} s" if isinstance(error, TimeoutError) else _first(error)
            raise NoAnswer(told) from None
        made.sock.settimeout(self.read)
        return made

    def _told(self, error: Exception, late: bool) -> str:
        if late:
            return f"the whole answer took longer than {self.whole:g} s"
        if isinstance(error, TimeoutError):
            return f"no answer within {self.read:g} s"
        if isinstance(error, http.client.RemoteDisconnected):
            return "the connection was closed without an answer"
        return _first(error)


def _connection_to(address: Address, seconds: float) -> http.client.HTTPConnection:
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=seconds)
    trusted = ssl.create_default_context()
    return http.client.HTTPSConnection(address.host, address.port, timeout=seconds, context=trusted)


def _exchange(
    connection: http.client.HTTPConnection, path: str, body: bytes | None, headers: Mapping[str, str]
) -> Reply:
    connection.request("GET" if body is None else "POST", path, body, dict(headers))
    response = connection.getresponse()
    with response:
        parts: list[bytes] = []
        while piece := response.read(PIECE):
            parts.append(piece)
            if len(parts) * PIECE > LARGEST:
                raise http.client.HTTPException(f"the answer is larger than {LARGEST:,} bytes")
    content = b"".join(parts)
    promised = response.headers.get("Content-Length", "")
    if promised.isdecimal() and len(content) < int(promised):
        raise http.client.HTTPException(f"the answer ended after {len(content):,} of {int(promised):,} bytes")
    told = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, response.reason, told, content)


def _cut(sock: socket.socket, late: threading.Event) -> None:
    """End what waits for a socket; past its own class, whose method would take TLS away under the reader."""
    late.set()
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:  # closed already
        return


def _first(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return f"the answer ended after {len(error.partial):,} bytes of a part"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
