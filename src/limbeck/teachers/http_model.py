"""A teacher behind an HTTP address, asked in batches, with an end to every wait and a meter that runs.

Shapes: B samples in the batch, n of them in a request, T classes of the teacher.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from limbeck.errors import TeacherError, UserError
from limbeck.teachers.asking import Address, Asking, Secrets
from limbeck.teachers.base import Teacher
from limbeck.teachers.feeding import Feeding, feed
from limbeck.teachers.link import Link, NoAnswer, Reply
from limbeck.teachers.meter import Meter
from limbeck.teachers.spoken import (
    KINDS,
    Misunderstood,
    input_name,
    say_plain,
    say_v2,
    understood,
    values_plain,
    values_v2,
)
from limbeck.teachers.stored import PROVIDES
from limbeck.types import Batch, Knowledge

PASSING = (408, 425, 429)  # states of a server, beside those from 500, that may pass
UNWELCOME = (401, 403, 407)
GIVES = {"probabilities": "probs", "logits": "logits", "labels": "labels"}
SHOWN = 200  # characters of a server's own words

Found = TypeVar("Found")


class HttpTeacher(Teacher):
    """A model that answers requests.

    classes: T, or their names; meter: counts what is asked. Nothing is asked before the first call. Raises TeacherError
    where no right answer comes after all retries, BudgetError where the budget is spent, UserError where the server
    says that the request itself is wrong.
    """

    def __init__(
        self,
        address: Address,
        asking: Asking,
        feeding: Feeding,
        classes: int | Sequence[str],
        meter: Meter,
        secrets: Secrets,
    ) -> None:
        self.address, self.asking, self.feeding, self.meter = address, asking, feeding, meter
        self._names = None if isinstance(classes, int) else tuple(classes)
        self.classes = classes if isinstance(classes, int) else len(classes)
        self.provides = PROVIDES[GIVES[asking.says]]
        self._secrets = secrets
        self._link = Link(address, asking.connect, asking.read, asking.whole)
        self._input = asking.input
        self._chance = random.Random()
        self.fingerprint = fingerprint(address, asking, feeding, classes)

    def current_fingerprint(self) -> str:
        """Return the fingerprint; whether another model answers there now, nobody can know."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return logits or log probabilities [B, T], or labels int64 [B], on the device of the batch."""
        parts = [self._ask(part) for part in torch.split(batch.inputs, self.asking.batch_size)]
        said = torch.cat(parts).to(batch.inputs.device)
        return Knowledge(labels=said) if self.asking.says == "labels" else Knowledge(logits=said)

    def _ask(self, inputs: Tensor) -> Tensor:
        """Return what the server says about samples [n, ...]."""
        fed = feed(inputs, self.feeding, self.feeding.layout or "nchw", KINDS[self.asking.datatype])
        path, query = self._path()
        if self.address.form == "plain":
            body, values = say_plain(fed, self.asking), values_plain
        else:
            path = f"{path}/infer"
            body, values = say_v2(fed, self.asking, self._input_name()), values_v2

        def understand(reply: Reply) -> Tensor:
            found = values(reply.body, self.asking)
            return understood(found, self.asking.says, len(fed), self.classes, self._names)

        said = self._until_right(path + query, body, len(fed), understand)
        self.asked += len(fed)
        return said

    def _input_name(self) -> str:
        """Return the name of the model's input, asked for where the recipe does not say it."""
        if self._input is None:
            path, query = self._path()
            self._input = self._until_right(path + query, None, 0, lambda reply: input_name(reply.body))
        return self._input

    def _path(self) -> tuple[str, str]:
        path, mark, query = self.address.path.partition("?")
        return path, mark + query

    def _until_right(self, path: str, body: bytes | None, count: int, understand: Callable[[Reply], Found]) -> Found:
        """Send a request until an answer is right, as often as the recipe allows."""
        reason = ""
        for attempt in range(self.asking.retries + 1):
            self.meter.take(count)
            try:
                return self._understood(self._link.send(path, body, self._headers(body)), understand)
            except NoAnswer as error:
                reason, wait = self._secrets.redact(str(error)), error.wait
            if attempt < self.asking.retries:
                self._wait(attempt, wait, reason)
        raise TeacherError(
            f"{self.address.shown} gave no right answer in {self.asking.retries + 1} attempts; the last one: "
            f"{reason}. What was answered is kept; start again to go on."
        )

    def _understood(self, reply: Reply, understand: Callable[[Reply], Found]) -> Found:
        """Return what a reply says; NoAnswer where that is not an answer."""
        self._check_state(reply)
        try:
            return understand(reply)
        except Misunderstood as error:
            if self._secrets.are_in(reply.body):
                raise NoAnswer("an answer that is none, and not shown here since it repeats a secret") from None
            raise NoAnswer(str(error)) from None

    def _headers(self, body: bytes | None) -> dict[str, str]:
        sent = {} if body is None else {"Content-Type": "application/json"}
        return {**sent, "Accept": "application/json", **self._secrets.headers}

    def _check_state(self, reply: Reply) -> None:
        """Raise NoAnswer for a state that may pass, UserError for any other one that stands for no answer."""
        if reply.status == 200:
            return
        told = f"status {reply.status} {reply.reason}{self._words(reply)}"
        if reply.status in PASSING or reply.status >= 500:
            raise NoAnswer(told, _asked_wait(reply.headers.get("retry-after", "")))
        advice = "check teacher.source and teacher.http"
        if reply.status in UNWELCOME:
            names = ", ".join(self.asking.headers or ()) or "none"
            advice = f"check the variables that teacher.http.headers names (headers given: {names})"
        elif 300 <= reply.status < 400:
            advice = "it sends elsewhere, and no secret is sent after it; name the other address as teacher.source"
        raise UserError(f"{self.address.shown} refuses the request, {self._secrets.redact(told)}; {advice}.")

    def _words(self, reply: Reply) -> str:
        """Return the beginning of what a server says itself, without what should stay secret."""
        text = " ".join(self._secrets.redact(reply.body.decode("utf-8", "replace")).split())
        readable = "".join(one for one in text if one.isprintable())
        return f" ({readable[:SHOWN]}{'...' if len(readable) > SHOWN else ''})" if readable else ""

    def _wait(self, attempt: int, least: float, reason: str) -> None:
        """Wait before the next attempt: at random below a bound that doubles, and at least what the server asks for."""
        longest = self.asking.longest_wait
        if least > longest:
            raise TeacherError(
                f"{self.address.shown} asks to wait for {least:,.0f} s ({reason}), longer than "
                f"teacher.http.longest_wait. What was answered is kept; start again later."
            )
        bound = min(self.asking.backoff * 2.0 ** min(attempt, 60), longest)
        time.sleep(max(least, self._chance.uniform(0, bound)))


def fingerprint(address: Address, asking: Asking, feeding: Feeding, classes: int | Sequence[str]) -> str:
    """Return the SHA-256 (hex) of the address, the label, the classes and how it is fed; never of a secret."""
    where = [address.scheme, address.host, address.port, address.path, address.form]
    named = classes if isinstance(classes, int) else list(classes)
    what = [asking.says, asking.input, asking.output, asking.datatype, asking.label, named]
    return hashlib.sha256(json.dumps([where, what, feeding.describe()]).encode()).hexdigest()


def _asked_wait(text: str) -> float:
    """Return the seconds that a Retry-After header names, as a number or a date; 0 for any other text."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
