"""Every setting, with its default, its meaning and its allowed values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from embedwell.app.config.folders import cache_folder
from embedwell.core.artifact import Quantization
from embedwell.models.names import HUB_PATTERN, REMOTE_PATTERN

SIZE = r"\d+(\.\d+)?\s*([KMG]i?B|B)?"
_ABOVE_0 = r"(?=[^1-9]*[1-9])"
_SHARE = r"(100|\d{1,2}(\.\d+)?)%"
# Names as `models/names.py` takes them apart. A path needs consent where a project names it.
_PLAIN = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"
_TAGS = r"(:[A-Za-z0-9]+)*(@[A-Za-z0-9]+)?"
_MODEL = rf"^(({_PLAIN}|{HUB_PATTERN}){_TAGS}|{REMOTE_PATTERN}|file:[^\x00-\x1f]+)$"
# A name, an IPv4 or an IPv6 address; no port, no brackets.
_HOST = r"^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|(?=.*:.*:)[0-9A-Fa-f:.]+)$"

_A_MODEL = "a name as in `embedwell models list`, `hf:owner/name` or `file:PATH`"
_A_SIZE = "a size such as 2MiB, 1.5GB or 4096 (bytes)"
_MODELS = {"personal": True, "form": "names as in `embedwell models list`"}
_PERSONAL = {"personal": True}
_SECRET = {"personal": True, "secret": True, "form": "visible ASCII characters without spaces"}

ModelName = Annotated[str, Meta(pattern=_MODEL)]


class Settings(Struct, frozen=True, kw_only=True):
    """What a user may choose. Fields are named as in the configuration files."""

    model: Annotated[
        str,
        Meta(
            pattern=_MODEL,
            description="Model for new indexes and for `embed`; `auto` takes the strongest that "
            "the machine's memory is fit for.",
            extra={"form": _A_MODEL},
        ),
    ] = "all-MiniLM-L6-v2"
    code_model: Annotated[
        str,
        Meta(
            pattern=f"{_MODEL}|^$",
            description="Model for the code in new indexes, beside `model` for the text; with none "
            "`model` embeds both.",
            extra={"form": _A_MODEL},
        ),
    ] = ""
    code_domain: Annotated[
        Literal["split", "hybrid"],
        Meta(
            description="Where the code of a new index goes that has a `code_model`: to that alone "
            "(`split`), or to both models (`hybrid`).",
        ),
    ] = "split"
    dimensions: Annotated[
        int,
        Meta(
            ge=0,
            description="Length of the vectors of `model`: its own, or one that they may be cut "
            "to; 0 is its own.",
        ),
    ] = 0
    code_dimensions: Annotated[int, Meta(ge=0, description="The same of `code_model`.")] = 0
    code_memory_limit_mb: Annotated[
        int,
        Meta(
            ge=1,
            description="Resident MB (10^6 bytes) of a process from which it does not load "
            "`code_model`: it warns and goes on with text.",
            extra=_PERSONAL,
        ),
    ] = 900
    quantization: Annotated[
        Quantization | Literal["auto"],
        Meta(description="Bits per weight: `q4`, `q8`, `q16`, `q32`, or `auto`."),
    ] = "auto"
    quantization_policy: Annotated[
        Literal["measured", "table"],
        Meta(
            description="What `auto` does: `measured` takes q8 wherever it fits a quarter of the "
            "budget, `table` takes the device profile's."
        ),
    ] = "measured"
    engine: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_-]*$",
            description="What runs models: `onnx` (onnxruntime), `openvino`, `cuda` or `llamacpp` "
            "with the extra of that name, `http` (the server at `remote_url`), or one that "
            "another package brings; `embedwell engines` shows them.",
            extra={"form": "a name such as onnx or openvino"},
        ),
    ] = "onnx"
    threads: Annotated[
        int,
        Meta(
            ge=0,
            le=1024,
            description="Threads of the engine; 0 takes every CPU that this process may use.",
        ),
    ] = 0
    memory_budget: Annotated[
        str,
        Meta(
            pattern=rf"^{_ABOVE_0}({SIZE}|{_SHARE})$",
            description="Most memory of a process that runs models, all of it counted: `80%` of "
            "the machine's, `1.5GiB`, bytes.",
            extra={"form": "a share up to 100%, or a size such as 1.5GiB or 4096 (bytes)"},
        ),
    ] = "80%"
    models_at_once: Annotated[
        int, Meta(ge=0, description="Most models loaded; 0 takes the device profile's.")
    ] = 0
    idle_s: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Seconds after which an unused model is unloaded; 0 never; by default the "
            "device profile's.",
        ),
    ] = None
    embeddings: Annotated[
        bool, Meta(description="Whether models may run; without them search is lexical only.")
    ] = True
    vector_cache_entries: Annotated[
        int, Meta(ge=0, description="Most vectors of recent texts that are kept; 0 keeps none.")
    ] = 1000
    vector_cache_size: Annotated[
        str,
        Meta(
            pattern=f"^{SIZE}$",
            description="Most memory of the vectors that are kept.",
            extra={"form": _A_SIZE},
        ),
    ] = "8MiB"
    vector_cache_ttl_s: Annotated[
        float,
        Meta(gt=0, le=1e9, description="Seconds after which a kept vector is forgotten."),
    ] = 600.0
    vector_cache_float16: Annotated[
        bool,
        Meta(description="Keep vectors in half the memory, with a cosine error below 0.001."),
    ] = False
    chunk_tokens: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Most tokens of a chunk in new indexes; 0 fits the model.",
        ),
    ] = 0
    max_file: Annotated[
        str,
        Meta(
            pattern=f"^{_ABOVE_0}{SIZE}$",
            description="Larger text files are skipped; PDFs and notebooks may be 32 times larger.",
            extra={"form": _A_SIZE},
        ),
    ] = "2MiB"
    extraction_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Longest time that the extraction of one file may take; then it is failed.",
        ),
    ] = 60.0
    extraction_memory: Annotated[
        str,
        Meta(
            pattern=rf"^{_ABOVE_0}({SIZE}|{_SHARE})$",
            description="Most memory of the child process that extracts files; a file that needs "
            "more is failed.",
            extra={"form": "a share up to 100%, or a size such as 512MiB or 4096 (bytes)"},
        ),
    ] = "512MiB"
    canary: Annotated[
        int,
        Meta(
            ge=0,
            description="Finished files after which a run checks itself, and again at each power "
            "of ten; 0 never.",
        ),
    ] = 1000
    cache: Annotated[
        Path,
        Meta(description="Folder for model files and artifacts.", extra=_PERSONAL),
    ] = field(default_factory=cache_folder)
    model_files: Annotated[
        Path | None,
        Meta(
            description="Folder with the model's published files, tried before any download.",
            extra=_PERSONAL,
        ),
    ] = None
    db: Annotated[
        str,
        Meta(
            description="Index file, or the address of a database (`postgresql://…`, "
            "`postgres-embedded:`); by default `.embedwell/index.db` in the folder.",
            extra=_PERSONAL,
        ),
    ] = ""
    database_url: Annotated[
        str,
        Meta(
            description="Address of a PostgreSQL database, with its password; used where `db` "
            "names nothing, and served under the name `database`.",
            extra={"personal": True, "secret": True},
        ),
    ] = ""
    index: Annotated[
        Literal["auto", "codes", "sqlite-vec", "exact"],
        Meta(
            description="What searches vectors in an index file: `codes` (in memory, fastest), "
            "`sqlite-vec` (in the file, least memory, an extra), `exact` (in memory, all of it); "
            "`auto` is `codes`.",
        ),
    ] = "auto"
    accept_drift: Annotated[
        tuple[ModelName, ...],
        Meta(
            description="Artifacts, such as `all-MiniLM-L6-v2@q4`, that may use an index although "
            "their vectors are further from its own than the bounds, separated by commas.",
            extra=_MODELS,
        ),
    ] = ()
    service: Annotated[
        Literal["auto", "start", "require", "off"],
        Meta(
            description="Whether library and commands use the machine's service: `auto` if one "
            "runs, `start` one on demand, `require` it, `off` stays in this process.",
            extra=_PERSONAL,
        ),
    ] = "auto"
    socket: Annotated[
        Path | None,
        Meta(
            description="Unix socket of the service; `service.sock` in `cache` by default, so "
            "that whoever shares the models shares the service.",
            extra=_PERSONAL,
        ),
    ] = None
    host: Annotated[
        str,
        Meta(
            pattern=_HOST,
            description="Address that `serve` listens on; beyond this machine only with `api_key`.",
            extra={"personal": True, "form": "a name or an address such as 127.0.0.1 or ::1"},
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="TCP port of the service; 0 leaves TCP out.",
            extra=_PERSONAL,
        ),
    ] = 8437
    api_key: Annotated[
        str,
        Meta(
            pattern="^[!-~]*$",
            description="Key that TCP clients must send as `Authorization: Bearer`.",
            extra=_SECRET,
        ),
    ] = ""
    cors_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^/\s,]+$")], ...],
        Meta(
            description="Origins whose pages may call the service, such as "
            "`https://app.example`, separated by commas.",
            extra={"personal": True, "form": "origins such as https://app.example, without a path"},
        ),
    ] = ()
    preload: Annotated[
        tuple[ModelName, ...],
        Meta(
            description="Models that `serve` loads at its start, separated by commas.",
            extra=_MODELS,
        ),
    ] = ()
    indexes: Annotated[
        tuple[str, ...],
        Meta(
            description="Folders whose indexes `serve` answers for over TCP, by folder name, "
            "separated by commas; over the Unix socket any index may be named by its path.",
            extra=_PERSONAL,
        ),
    ] = ()
    pinned: Annotated[
        tuple[ModelName, ...],
        Meta(
            description="Models that are never unloaded by themselves, separated by commas.",
            extra=_MODELS,
        ),
    ] = ()
    max_waiting: Annotated[
        int,
        Meta(
            ge=1,
            description="Requests that may wait in the service; more are told to come back.",
            extra=_PERSONAL,
        ),
    ] = 256
    max_request: Annotated[
        str,
        Meta(
            pattern=f"^{_ABOVE_0}{SIZE}$",
            description="Largest body of a request.",
            extra={"personal": True, "form": _A_SIZE},
        ),
    ] = "8MiB"
    request_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=86_400,
            description="Longest time of one request, waiting included.",
            extra=_PERSONAL,
        ),
    ] = 300.0
    memory_warning_mb: Annotated[
        int,
        Meta(
            ge=1,
            description="Estimated MB (10^6 bytes) of loaded models from which monitoring warns.",
            extra=_PERSONAL,
        ),
    ] = 900
    memory_limit_mb: Annotated[
        int,
        Meta(
            ge=1,
            description="Estimated MB of loaded models from which monitoring says "
            "`budget_exceeded`.",
            extra=_PERSONAL,
        ),
    ] = 1024
    remote_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$",
            description="Address of the server that `engine = http` asks, such as "
            "`http://127.0.0.1:11434`.",
            extra={"personal": True, "form": "an address such as https://api.example.com/v1"},
        ),
    ] = ""
    remote_dialect: Annotated[
        Literal["auto", "ollama", "openai", "koboldcpp", "tei"],
        Meta(
            description="What that server speaks; `auto` asks it. `tei` is "
            "text-embeddings-inference.",
            extra=_PERSONAL,
        ),
    ] = "auto"
    remote_model: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[^\s,]+$")], ...],
        Meta(
            description="What that server calls the model, where it is not found by the names "
            "that the catalogue knows; `MODEL=NAME` for one of several, separated by commas.",
            extra={"personal": True, "form": "names without spaces"},
        ),
    ] = ()
    remote_api_key: Annotated[
        str,
        Meta(
            pattern="^[!-~]*$",
            description="Key that is sent to that server as `Authorization: Bearer`.",
            extra=_SECRET,
        ),
    ] = ""
    remote_timeout_s: Annotated[
        float,
        Meta(gt=0, le=86_400, description="Longest time of one request to it.", extra=_PERSONAL),
    ] = 60.0
