"""A model described by its own files, as sentence-transformers and transformers lay them out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from embedwell.core.errors import ConversionError, WrongBytesError
from embedwell.core.space import Pooling
from embedwell.models.catalogue import ModelCard
from embedwell.models.networks.registry import architecture_of, read_network
from embedwell.models.static import MODEL_TYPE

CONFIG, TOKENIZER, MODULES = "config.json", "tokenizer.json", "modules.json"
_PROMPTS = "config_sentence_transformers.json"
_LENGTH, _TOKENIZING, _README = "sentence_bert_config.json", "tokenizer_config.json", "README.md"
_SMALL = {CONFIG, MODULES, _PROMPTS, _LENGTH, _TOKENIZING, _README}
_MODULE_CONFIG = re.compile(r"\d+_\w+/config\.json")

# sentence-transformers' names, those of its older releases too, and ours.
_POOLINGS: Mapping[str, Pooling] = {
    "mean": "mean",
    "pooling_mode_mean_tokens": "mean",
    "cls": "cls",
    "pooling_mode_cls_token": "cls",
    "lasttoken": "last",
    "pooling_mode_lasttoken": "last",
}
_QUERY_PROMPTS = ("query", "search_query", "retrieval.query")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus", "search_document", "retrieval.passage")
_ANEW = "Get the model's files anew."
_LONGEST = 8192
_SHORTEST = 8  # special tokens, and a word or two
_STATIC_LENGTH = 512
_OWN_MODULES = "sentence_transformers."
_LANGUAGE = re.compile(r"[a-z]{2}|multilingual")


def tells(name: str) -> bool:
    """Whether a published file is one of the small ones that describe a model."""
    return name in _SMALL or _MODULE_CONFIG.fullmatch(name) is not None


def describe(name: str, files: Mapping[str, bytes], weights_bytes: int) -> ModelCard:
    """What a model's own files say of it; the card has no files and no revision yet.

    Without `modules.json` token vectors are averaged, as sentence-transformers does it. Vectors
    are always scaled to length 1: what is compared is their angle.

    Args:
        name: What the model will be called.
        files: Content by published name of those that `tells` is true of.
        weights_bytes: Size of its weights.

    Raises:
        WrongBytesError: A file is not the JSON that it must be.
        ConversionError: It is no network, or has a part, that is not known here.
    """
    fields = _object(files, CONFIG)
    front = _front_matter(files.get(_README, b""))
    query, document = _prompts(_object(files, _PROMPTS))
    told = ModelCard(
        name=name,
        hub_id="",
        revision="",
        licence=next(iter(front.get("license", ())), ""),
        summary="",
        architecture="static",
        dimensions=0,
        max_tokens=_STATIC_LENGTH,
        pooling="mean",
        languages=languages_of(front.get("language", ())),
        n_parameters=weights_bytes // _bytes_each(fields),
        query_prompt=query,
        document_prompt=document,
    )
    if fields.get("model_type") == MODEL_TYPE:
        return replace(told, dimensions=_integer(fields, "hidden_dim"))
    head = _head(fields, files)
    network = read_network(fields, head).config
    return replace(
        told,
        architecture=architecture_of(fields),
        dimensions=network.width,
        max_tokens=_max_tokens(network.max_tokens, files),
        pooling=_pooling(files),
        matryoshka=_matryoshka(fields, files, network.width),
        head=head,
        vocabulary=network.n_words,
    )


def languages_of(said: Iterable[str]) -> tuple[str, ...]:
    """The languages among what a model's makers wrote: ISO 639-1 codes, without their region."""
    codes = (re.split("[-_]", one.lower())[0] for one in said)
    return tuple(dict.fromkeys(code for code in codes if _LANGUAGE.fullmatch(code)))


def _head(fields: Mapping[str, Any], files: Mapping[str, bytes]) -> Literal["embedding", "rerank"]:
    if MODULES in files or "SequenceClassification" not in str(fields.get("architectures")):
        return "embedding"
    labels = fields.get("id2label")
    n_labels = len(labels) if isinstance(labels, dict) else fields.get("num_labels", 2)
    if n_labels == 1:
        return "rerank"
    raise ConversionError(
        f"It sorts texts into {n_labels} classes and gives neither vectors nor scores.",
        "Name a model that was made for embedding or for reranking.",
    )


def _pooling(files: Mapping[str, bytes]) -> Pooling:
    if MODULES not in files:
        return "mean"
    modules = _parsed(files, MODULES)
    if not isinstance(modules, list) or not all(isinstance(one, dict) for one in modules):
        raise WrongBytesError(f"{MODULES} is not a list of modules.", _ANEW)
    found: Pooling = "mean"
    for module in modules:
        whole, path = str(module.get("type", "")), str(module.get("path", ""))
        kind = whole.rpartition(".")[2] if whole.startswith(_OWN_MODULES) else whole
        if kind == "Pooling":
            found = _mode(_existing(files, f"{path.rstrip('/')}/config.json"))
        elif kind not in {"Transformer", "Normalize"} or (kind == "Transformer" and path):
            raise ConversionError(
                f"Its vectors pass a module '{kind or path}' that is not known here ({MODULES}).",
                "Use a model of a transformer, a pooling and a normalization, or let a server "
                "run this one (`engine = http`).",
            )
    return found


def _mode(config: Mapping[str, Any]) -> Pooling:
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    given = config.get("pooling_mode")
    if given is not None:
        modes = [given] if isinstance(given, str) else list(given)
    if config.get("include_prompt", True) is False:
        raise ConversionError(
            "Its pooling leaves the tokens of the prompt out, which is not known here.",
            "Use another model, or let a server run this one (`engine = http`).",
        )
    if len(modes) == 1 and modes[0] in _POOLINGS:
        return _POOLINGS[modes[0]]
    raise ConversionError(
        f"Its pooling is {' and '.join(map(str, modes)) or 'not named'}; "
        "mean, the first token and the last are known.",
        "Use another model, or let a server run this one (`engine = http`).",
    )


def _prompts(config: Mapping[str, Any]) -> tuple[str, str]:
    """What stands before a query and before a document."""
    given = config.get("prompts") or {}
    if not isinstance(given, dict) or not all(isinstance(one or "", str) for one in given.values()):
        raise WrongBytesError(f"{_PROMPTS} has no texts as prompts.", _ANEW)
    prompts = {name: prompt or "" for name, prompt in given.items()}
    usual = prompts.get(str(config.get("default_prompt_name")), "")

    def first(names: Iterable[str]) -> str:
        known = [prompts[name] for name in names if name in prompts]
        return next(filter(None, known), "" if known else usual)

    return first(_QUERY_PROMPTS), first(_DOCUMENT_PROMPTS)


def _max_tokens(positions: int, files: Mapping[str, bytes]) -> int:
    told, tokenizing = _object(files, _LENGTH), _object(files, _TOKENIZING)
    if told.get("do_lower_case") is True and tokenizing.get("do_lower_case") is not True:
        raise ConversionError(
            f"{_LENGTH} has texts lowered, which its tokenizer does not do.",
            "Use another model, or let a server run this one (`engine = http`).",
        )
    said = (told.get("max_seq_length"), tokenizing.get("model_max_length"))
    lengths = (one for one in said if isinstance(one, int | float) and 0 < one < math.inf)
    length = int(min(next(lengths, positions), positions, _LONGEST))
    if length < _SHORTEST:
        raise ConversionError(f"It takes {length} tokens, too few for a text.", _ANEW)
    return length


def _matryoshka(
    fields: Mapping[str, Any], files: Mapping[str, bytes], whole: int
) -> tuple[int, ...]:
    key = "matryoshka_dimensions"
    given = fields.get(key) or _object(files, _PROMPTS).get(key) or ()
    if not isinstance(given, list | tuple):
        raise WrongBytesError(f"Its {key} are no list.", _ANEW)
    lengths = {one for one in given if isinstance(one, int) and 0 < one < whole}
    return tuple(sorted(lengths, reverse=True))


def _bytes_each(fields: Mapping[str, Any]) -> int:
    kind = str(fields.get("dtype") or fields.get("torch_dtype") or "float32")
    return 2 if "16" in kind else 4


def _integer(fields: Mapping[str, Any], name: str) -> int:
    if isinstance(fields.get(name), int):
        return int(fields[name])
    raise WrongBytesError(f"{CONFIG} has no {name}.", _ANEW)


def _existing(files: Mapping[str, bytes], name: str) -> Mapping[str, Any]:
    if name not in files:
        raise WrongBytesError(f"{MODULES} names {name}, which is not there.", _ANEW)
    return _object(files, name)


def _object(files: Mapping[str, bytes], name: str) -> Mapping[str, Any]:
    """A file's entries; none where there is no such file."""
    found = _parsed(files, name)
    if not isinstance(found, dict):
        raise WrongBytesError(f"{name} is not a JSON object.", _ANEW)
    return found


def _parsed(files: Mapping[str, bytes], name: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(files.get(name, b"{}"))
    except (ValueError, RecursionError) as error:
        raise WrongBytesError(f"{name} is not JSON ({error}).", _ANEW) from error


def _front_matter(readme: bytes) -> dict[str, list[str]]:
    """Licence and languages that the head of a README names: plain entries and lists of YAML."""
    match = re.match(r"---\r?\n(.*?)\r?\n---", readme.decode("utf-8", "replace"), re.DOTALL)
    found: dict[str, list[str]] = {}
    key = ""
    for line in (match[1] if match else "").splitlines():
        entry = re.match(r"([\w-]+):\s*(.*)$", line)
        item = re.match(r"""\s*-\s+["']?([\w.-]+)["']?\s*$""", line)
        if entry:
            key = entry[1]
            inline = re.findall(r"[\w.-]+", entry[2]) if key in {"license", "language"} else []
            found[key] = inline
        elif item and key:
            found[key].append(item[1])
    return found
