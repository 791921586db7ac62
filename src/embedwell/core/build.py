"""A build record: what computed a vector."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class BuildRecord:
    """What computed a vector, down to the native code.

    It does not define the space: it has to prove itself, see `embedwell.handshake`.

    Attributes:
        artifact: Name such as `all-MiniLM-L6-v2@q8`.
        artifact_key: SHA-256 over what determined the artifact's bytes.
        weights_sha256: Hash of the published weights.
        tokenizer_sha256: Hash of `tokenizer.json`.
        quantization: `q4` to `q32`.
        engine: Name of the engine.
        engine_version: Version that the engine's package states.
        native: Build id of the engine's native library, or the hash of its file.
        tokenizers_version: Version of the `tokenizers` library.
        cpu: What the processor can do, as far as results may depend on it: `avx2`, `amx_int8`, …
        host: Name of the machine.
        made_at: When it was first seen, ISO 8601 in UTC.
    """

    artifact: str
    artifact_key: str
    weights_sha256: str
    tokenizer_sha256: str
    quantization: str
    engine: str
    engine_version: str
    native: str
    tokenizers_version: str
    cpu: tuple[str, ...]
    host: str = ""
    made_at: str = ""

    @cached_property
    def key(self) -> str:
        """SHA-256 (64 hex digits) of all that can change a result: host and time are left out."""
        import hashlib  # noqa: PLC0415 - 3.6 MB; whoever passes requests on needs none

        return hashlib.sha256(replace(self, host="", made_at="").to_json().encode()).hexdigest()

    @classmethod
    def of_nothing(cls, artifact: str) -> BuildRecord:
        """For a batch of no texts, which nothing computed."""
        return cls(artifact, "", "", "", "", "", "", "", "", ())

    def to_json(self) -> str:
        """The canonical form: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> BuildRecord:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        return cls(**fields | {"cpu": tuple(fields["cpu"])})

    def __str__(self) -> str:
        """For people: artifact, engine, and the start of the native build's name."""
        made = f", {self.host}" if self.host else ""
        return f"{self.artifact} by {self.engine} {self.engine_version} ({self.native[:12]}{made})"
