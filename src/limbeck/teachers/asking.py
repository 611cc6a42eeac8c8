"""How a teacher behind an address is asked: its signature is the recipe's section `teacher.http`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from limbeck.errors import UserError

V2 = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?$")
VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OURS = {"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"}


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return headers as they are; ValueError for a name that is none, or a value that names no variable.

    The sentence never repeats a value, since it may be a secret that should not be there.
    """
    for name, value in headers.items():
        if not TOKEN.fullmatch(name) or name.lower() in OURS:
            raise ValueError("expected names of headers such as Authorization; those of the transfer itself are set")
        if not VARIABLE.search(value):
            raise ValueError(
                f"{name} expects the name of an environment variable, such as 'Bearer $TOKEN'; a secret does not "
                f"belong into a recipe"
            )
    return headers


Seconds = Annotated[float, Field(gt=0, le=86400)]
Headers = Annotated[dict[str, str], AfterValidator(check_headers)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class Asking:
    """How a teacher behind an address is asked.

    form: what is spoken there, the Open Inference Protocol (v2) or plain JSON; by the address unless given.
    says: what it answers with.
    input: name of the samples in what is sent; for v2 the model's only input unless given, for plain `inputs`.
    output: name of the answer in what comes back; for v2 its only output unless given, for plain the word of `says`.
    datatype: of the numbers that are sent; UINT8 stands for pixels in 0..255.
    batch_size: samples in a request.
    connect: seconds for reaching the server; read: seconds without a byte from it; whole: seconds for an answer.
    retries: how often a request is sent again that failed in a way that may pass.
    backoff: seconds before the first retry at most, doubled for each further one and drawn at random below that.
    longest_wait: seconds that a retry waits at most; a server that asks for longer ends the run.
    rate: requests in a second at most, of all processes together.
    budget: samples that may ever be sent to this teacher, each attempt counted.
    headers: sent with every request, values from environment variables, such as `Bearer $TOKEN`.
    label: what you call this version of the model; another label means that all answers are asked for anew.
    test: whether it is asked about the test samples too, so that the report can judge the teacher itself.
    """

    form: Literal["v2", "plain"] | None = None
    says: Literal["probabilities", "logits", "labels"] = "probabilities"
    input: Text | None = None
    output: Text | None = None
    datatype: Literal["FP32", "FP64", "UINT8"] = "FP32"
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    connect: Seconds = 10.0
    read: Seconds = 60.0
    whole: Seconds = 300.0
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    backoff: Annotated[float, Field(ge=0, le=3600)] = 0.5
    longest_wait: Annotated[float, Field(ge=0, le=86400)] = 60.0
    rate: Annotated[float, Field(gt=0)] | None = None
    budget: Annotated[int, Field(ge=1)] | None = None
    headers: Headers | None = None
    label: Annotated[str, Field(max_length=200)] = ""
    test: bool = True


@dataclass(frozen=True)
class Address:
    """Where a teacher is. scheme: http or https; path: with the query, as it is sent; form: what is spoken there."""

    scheme: str
    host: str
    port: int
    path: str
    form: Literal["v2", "plain"]

    @property
    def shown(self) -> str:
        """The address for messages, without a query, in which somebody may have put a key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path.partition('?')[0]}"


def address_of(text: str, form: Literal["v2", "plain"] | None) -> Address:
    """Return the address in a text such as http://host:8000/v2/models/NAME; UserError for one that is none."""
    try:
        parts = urlsplit(text)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise UserError("teacher.source: expected http://host:port/path or https://host/path.") from None
    if parts.username is not None or parts.password is not None:
        raise UserError(
            "teacher.source: an address with a user or password in it would be written into the run folder; put them "
            "into an environment variable that teacher.http.headers names."
        )
    if not parts.hostname or re.search(r"[^!-~]", text) or "$" in text:
        raise UserError("teacher.source: expected http://host:port/path, without blanks or variables in it.")
    path = parts.path.rstrip("/").removesuffix("/infer")
    spoken = form or ("v2" if V2.search(path) else "plain")
    if spoken == "v2" and not V2.search(path):
        raise UserError(
            f"teacher.source: the v2 protocol expects an address that ends in /v2/models/NAME, perhaps with "
            f"/versions/NUMBER behind it, got the path {parts.path or '/'}."
        )
    path = path if spoken == "v2" else parts.path or "/"
    return Address(parts.scheme, parts.hostname, port, path + (f"?{parts.query}" if parts.query else ""), spoken)


@dataclass(frozen=True, repr=False)
class Secrets:
    """Headers with their values. hidden: what never appears in a message."""

    headers: Mapping[str, str]
    hidden: tuple[str, ...]

    def are_in(self, content: bytes) -> bool:
        """Whether one of them is in what a server sent."""
        return any(secret.encode() in content for secret in self.hidden)

    def redact(self, text: str) -> str:
        """Return a text without the secrets."""
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def secrets_of(headers: Mapping[str, str] | None) -> Secrets:
    """Return headers with the values of their variables; UserError for one that is not set or cannot be sent."""
    headers = headers or {}
    names = [name for value in headers.values() for name in VARIABLE.findall(value)]
    for name in names:
        value = os.environ.get(name, "")
        if not value:
            raise UserError(f"teacher.http.headers names the environment variable {name}, which is not set.")
        if not re.fullmatch(r"[ -~]+", value):
            raise UserError(
                f"The environment variable {name} holds a character that no header can have, such as a line break."
            )
    filled = {key: VARIABLE.sub(lambda one: os.environ[one[1]], value) for key, value in headers.items()}
    return Secrets(filled, tuple(os.environ[name] for name in names))
