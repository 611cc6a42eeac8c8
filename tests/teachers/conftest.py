"""A server on loopback that speaks the Open Inference Protocol and plain JSON, and fails as it is told to."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES = 10


def truth(samples: np.ndarray) -> np.ndarray:
    """What the model behind the server says: logits [n, 10] of samples [n, ...]."""
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    weights = np.random.default_rng(0).normal(size=(flat.shape[1], CLASSES))
    return flat @ weights


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


class Server(ThreadingHTTPServer):
    """faults: of the next requests, "" for none; asked: how often each sample came in; answered: how often it was
    answered rightly; attempts: samples of each request; says: what it answers with; on_request: is called first.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[str] = []
        self.always: str = ""
        self.asked: Counter[bytes] = Counter()
        self.answered: Counter[bytes] = Counter()
        self.attempts: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.metadata = 0
        self.says = "probabilities"
        self.answer: Callable[[np.ndarray], np.ndarray] = truth
        self.on_request: Callable[[int], None] = lambda number: None
        self.lock = threading.Lock()
        self.ending = threading.Event()

    @property
    def v2(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v2/models/digits"

    @property
    def plain(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/predict"

    def wrap(self, certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def next_fault(self) -> str:
        with self.lock:
            return self.faults.pop(0) if self.faults else self.always

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self.server.metadata += 1
        self.paths()
        told = {"name": "digits", "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]}
        self.reply(json.dumps(told).encode())

    def paths(self) -> None:
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers.items()))

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.paths()
        given = body["inputs"]
        samples = np.array(given if "/v2/" not in self.path else given[0]["data"], dtype=np.float64)
        if "/v2/" in self.path:
            samples = samples.reshape(given[0]["shape"])
        with server.lock:
            server.bodies.append(body)
            server.attempts.append(len(samples))
            server.asked.update(row.tobytes() for row in samples)
            number = len(server.attempts)
        server.on_request(number)
        self.act(server.next_fault(), samples)

    def act(self, fault: str, samples: np.ndarray) -> None:
        server = self.server
        if fault == "timeout":
            server.ending.wait(2)
        elif fault.startswith("status "):
            _, status, *more = fault.split(" ", 3)
            self.reply((more[1] if len(more) > 1 else "sorry").encode(), int(status), more[0] if more else None)
        elif fault == "hang up":
            self.close_connection = True
        elif fault == "redirect":
            self.reply(b"", 307, location="http://127.0.0.1:9/elsewhere")
        elif fault == "html":
            self.reply(b"<html>welcome</html>")
        elif fault:
            self.reply(*self.wrong(fault, samples))
        else:
            with server.lock:
                server.answered.update(row.tobytes() for row in samples)
            self.reply(self.said(self.values(samples)))

    def values(self, samples: np.ndarray) -> np.ndarray:
        logits, says = self.server.answer(samples), self.server.says
        return logits if says == "logits" else softmax(logits) if says == "probabilities" else logits.argmax(1)

    def said(self, values: np.ndarray) -> bytes:
        if "/v2/" not in self.path:
            return json.dumps({self.server.says: values.tolist()}).encode()
        kind = "INT64" if values.ndim == 1 else "FP32"
        output = {"name": self.server.says, "shape": list(values.shape), "datatype": kind}
        return json.dumps({"model_name": "digits", "outputs": [output | {"data": values.ravel().tolist()}]}).encode()

    def wrong(self, fault: str, samples: np.ndarray) -> tuple[Any, ...]:
        values = softmax(self.server.answer(samples))
        if fault == "shape":
            return (self.said(values[:, :-1]),)
        if fault == "rows":
            return (self.said(values[:-1]),)
        if fault == "nan":
            values[0, 0] = np.nan
        if fault == "sum":
            values[0] *= 0.9
        if fault in ("drip", "drip headers", "truncated"):
            return (self.said(values), 200, None, None, fault)
        return (self.said(values),)

    def reply(
        self, body: bytes, status: int = 200, wait: str | None = None, location: str | None = None, how: str = ""
    ) -> None:
        head = [f"HTTP/1.1 {status} word", f"Content-Length: {len(body)}"]
        head += [f"Retry-After: {wait.replace('_', ' ')}"] if wait else []
        head += [f"Location: {location}"] if location else []
        text = "\r\n".join([*head, "", ""]).encode()
        if how == "drip headers":
            return self.drip(text)
        if how == "drip":
            self.wfile.write(text)
            return self.drip(body)
        self.wfile.write(text + (body[: len(body) // 2] if how == "truncated" else body))
        self.close_connection = how == "truncated" or self.close_connection
        return None

    def drip(self, content: bytes) -> None:
        for place in range(len(content)):
            if self.server.ending.is_set():
                return
            self.wfile.write(content[place : place + 1])
            time.sleep(0.03)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers as it should until it is told otherwise."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.ending.set()
    made.shutdown()
    made.server_close()
    thread.join()
