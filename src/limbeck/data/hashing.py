"""Hashes that are the same in every process, on every machine and in every order."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

HASHED_AT_ONCE = 4096


def hash64(text: str) -> int:
    """Return the first 64 bits of the BLAKE2b hash of a text, as a signed integer."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def hash64_all(texts: Iterable[str], salt: str = "") -> NDArray[np.int64]:
    """Hash each text after a salt: int64 [N]. Another salt gives an unrelated order."""
    return np.fromiter((hash64(salt + text) for text in texts), dtype=np.int64)


def hash_rows(values: Tensor) -> NDArray[np.int64]:
    """Hash type, shape and content of each row of a tensor [N, ...]: int64 [N]; read in chunks, mapped files too."""
    head = hashlib.sha256(f"{values.dtype}{list(values.shape[1:])}".encode())
    hashes = np.empty(len(values), dtype=np.int64)
    for first in range(0, len(values), HASHED_AT_ONCE):
        chunk = np.ascontiguousarray(values[first : first + HASHED_AT_ONCE].cpu().numpy())
        for place, row in enumerate(chunk, first):
            digest = head.copy()
            digest.update(row.data)
            hashes[place] = int.from_bytes(digest.digest()[:8], "little", signed=True)
    return hashes


def content_hash(content: bytes) -> str:
    """Hash bytes to 16 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def row_hash(row: NDArray[np.generic]) -> str:
    """Hash one sample's type, shape and values to 16 hexadecimal digits."""
    return content_hash(f"{row.dtype.str}{row.shape}".encode() + row.tobytes())


def number_repeats(names: Iterable[str]) -> list[str]:
    """Make names differ: the second "x" becomes "x#2", the third "x#3"."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
