"""The first use of models that nobody pinned: of the hub, of a folder, of the catalogue."""

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_writer import write_gguf
from hub_server import Fault, HubServer
from published import all_files
from tiny_bert import MAX_TOKENS, N_WORDS, tiny_source
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from embedwell.core.errors import (
    ConversionError,
    ModelUnavailableError,
    UnknownModelError,
    WrongBytesError,
)
from embedwell.core.events import Watch
from embedwell.models.catalogue import PinnedFile, catalogue
from embedwell.models.files import mirrors, pull
from embedwell.models.first_use import FirstUse, _as_catalogued
from embedwell.models.known import Known
from embedwell.models.names import parse_name

COMMIT = "5" * 40
WEIGHTS = "model.safetensors"
MODULES = [
    {"type": "sentence_transformers.models.Transformer", "path": ""},
    {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
]
EXTRA = {
    "modules.json": json.dumps(MODULES).encode(),
    "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
    "config_sentence_transformers.json": b'{"prompts": {"query": "q: ", "passage": "p: "}}',
    "README.md": b"---\nlicense: mit\nlanguage: en\n---\n",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tiny_source(folder)
    for name, content in EXTRA.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def files(tiny) -> dict[str, bytes]:
    return {name: (tiny / name).read_bytes() for name in all_files(tiny)}


@pytest.fixture
def hub(tmp_path, monkeypatch, files):
    """A hub that has the tiny model, and a client that is set to it."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with HubServer("someone/tiny", COMMIT, files, lfs=frozenset({WEIGHTS})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def bring(cache: Path, name: str):
    return FirstUse(cache, Watch()).bring(parse_name(name))


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestHub:
    def test_a_repository_is_known_by_its_commit_and_its_own_files(self, hub, cache, files):
        card = bring(cache, "hf:someone/tiny")
        assert (card.name, card.revision) == ("hf:someone/tiny", COMMIT)
        assert (card.pooling, card.query_prompt, card.document_prompt) == ("cls", "q: ", "p: ")
        assert (card.max_tokens, card.dimensions, card.licence) == (MAX_TOKENS, 48, "mit")
        assert {name: pin.sha256 for name, pin in card.files.items()} == {
            name: sha(files[name]) for name in ("config.json", "tokenizer.json", WEIGHTS)
        }
        assert not card.verified
        assert Known(cache).card("hf:someone/tiny@q8").space == card.space

    def test_weights_are_not_downloaded_to_describe_them(self, hub, cache):
        bring(cache, "hf:someone/tiny")
        assert ("GET", f"/storage/{WEIGHTS}") not in hub.requests

    def test_its_files_come_with_the_recorded_hashes(self, hub, cache, files):
        source = pull(bring(cache, "hf:someone/tiny"), mirrors(cache), Watch())
        assert source.mirror == "hub"
        assert source.paths[WEIGHTS].read_bytes() == files[WEIGHTS]

    def test_a_branch_that_moves_on_is_another_revision_by_name_only(self, hub, cache, files):
        first = bring(cache, "hf:someone/tiny")
        hub.revision, hub.branches = "6" * 40, ("main",)
        assert Known(cache).card("hf:someone/tiny") == replace(first, asked="hf:someone/tiny")
        newer = bring(cache, "hf:someone/tiny#main")
        assert newer.revision == "6" * 40
        assert newer.space != first.space
        known = Known(cache)
        assert known.card(known.name_of(first.space)).revision == COMMIT

    def test_other_bytes_at_the_same_commit_are_refused_by_name(self, hub, cache, files):
        card = bring(cache, "hf:someone/tiny")
        hub.files = files | {WEIGHTS: files[WEIGHTS][::-1]}
        with pytest.raises(ModelUnavailableError, match=f"{WEIGHTS} is not the published file"):
            pull(card, mirrors(cache), Watch())

    def test_shards_are_all_its_weights(self, hub, cache, files):
        shards = {f"model-0000{n}-of-00002.safetensors": files[WEIGHTS] for n in (1, 2)}
        hub.files = {name: content for name, content in files.items() if name != WEIGHTS} | shards
        card = bring(cache, "hf:someone/tiny")
        assert set(card.files) == {"config.json", "tokenizer.json", *shards}
        assert card.n_parameters == 2 * len(files[WEIGHTS]) // 4

    def test_pickles_are_refused_with_what_would_help(self, hub, cache, files):
        hub.files = {**files, "pytorch_model.bin": b"a pickle"}
        del hub.files[WEIGHTS]
        with pytest.raises(ModelUnavailableError, match="pickles only") as refusal:
            bring(cache, "hf:someone/tiny")
        assert "GGUF" in refusal.value.remedy
        assert "refs/pr/1" in refusal.value.remedy

    def test_a_revision_of_the_converter_can_be_named(self, hub, cache):
        assert bring(cache, "hf:someone/tiny#refs/pr/1").revision == COMMIT
        found = Known(cache).card("hf:someone/tiny#refs/pr/1@q8")
        assert (found.revision, found.called) == (COMMIT, "hf:someone/tiny#refs/pr/1")

    @pytest.mark.parametrize("missing", ["tokenizer.json", "config.json"])
    def test_a_missing_file_is_named(self, hub, cache, missing):
        del hub.files[missing]
        with pytest.raises(ModelUnavailableError, match=f"someone/tiny has no {missing}"):
            bring(cache, "hf:someone/tiny")

    def test_nothing_to_read_weights_from_is_said(self, hub, cache):
        del hub.files[WEIGHTS]
        with pytest.raises(ModelUnavailableError, match="no weights as safetensors or GGUF"):
            bring(cache, "hf:someone/tiny")

    def test_a_part_that_is_not_known_is_refused_with_the_models_name(self, hub, cache, files):
        modules = [*MODULES, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]
        hub.files = files | {"modules.json": json.dumps(modules).encode()}
        with pytest.raises(ConversionError, match=r"hf:someone/tiny cannot be used: .*Dense"):
            bring(cache, "hf:someone/tiny")
        with pytest.raises(UnknownModelError):
            Known(cache).card("hf:someone/tiny")

    @pytest.mark.parametrize(
        ("fault", "said"), [("gated", "accept its terms"), ("error", "answered 500")]
    )
    def test_a_hub_that_refuses_is_quoted(self, hub, cache, fault: Fault, said):
        hub.fault = fault
        with pytest.raises(ModelUnavailableError, match=said):
            bring(cache, "hf:someone/tiny")

    def test_a_private_repository_asks_for_a_token(self, hub, cache):
        hub.token = "a-secret"
        with pytest.raises(ModelUnavailableError, match="HF_TOKEN"):
            bring(cache, "hf:someone/tiny")

    @pytest.mark.parametrize("name", ["hf:someone/other", "hf:someone/tiny#gone"])
    def test_what_is_not_there_is_said(self, hub, cache, name):
        with pytest.raises(ModelUnavailableError, match="404"):
            bring(cache, name)

    def test_without_network_what_was_looked_at_is_known(self, hub, cache, monkeypatch):
        card = bring(cache, "hf:someone/tiny")
        pull(card, mirrors(cache), Watch())
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        hub.requests.clear()
        known = Known(cache).card("hf:someone/tiny")
        assert pull(known, mirrors(cache), Watch()).mirror == "cache"
        assert hub.requests == []

    def test_offline_the_clients_own_cache_tells(self, hub, cache, tmp_path, monkeypatch):
        first = pull(bring(cache, "hf:someone/tiny#main"), mirrors(cache), Watch()).card
        references = next((tmp_path / "hf").rglob("snapshots")).parent / "refs"
        references.mkdir(exist_ok=True)
        (references / "main").write_text(COMMIT)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        hub.requests.clear()
        again = bring(tmp_path / "other", "hf:someone/tiny")
        assert again.files == first.files
        assert hub.requests == []

    def test_offline_without_any_cache_it_is_said(self, hub, cache, monkeypatch):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(ModelUnavailableError, match="cannot be looked at"):
            bring(cache, "hf:someone/tiny")


class TestPlaces:
    def test_a_folder_is_known_by_the_hash_of_its_weights(self, tiny, cache, files):
        card = bring(cache, f"file:{tiny}")
        assert card.name == "file:model"
        assert card.revision == sha(files[WEIGHTS])[:40]
        assert (card.pooling, card.query_prompt) == ("cls", "q: ")
        known = Known(cache)
        assert known.card(f"file:{tiny}/../model@q8").space == card.space
        assert known.card(known.name_of(card.space)).space == card.space
        source = pull(card, mirrors(cache, Path(card.place)), Watch())
        assert source.mirror == "local"

    def test_a_changed_file_is_refused_until_it_is_looked_at_anew(self, tiny, cache, tmp_path):
        folder = shutil.copytree(tiny, tmp_path / "mine")
        first = bring(cache, f"file:{folder}")
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4] + b"abcd")
        with pytest.raises(ModelUnavailableError, match="is not the published file") as refusal:
            pull(Known(cache).card(f"file:{folder}"), mirrors(cache, folder), Watch())
        assert f"models remove file:{folder}" in refusal.value.remedy
        again = bring(cache, f"file:{folder}")
        assert again.revision != first.revision

    def test_a_gguf_file_is_a_model(self, gguf, cache):
        card = bring(cache, f"file:{gguf}")
        assert card.name == "file:tiny-F32"
        assert card.files == {gguf.name: PinnedFile(sha(gguf.read_bytes()), gguf.stat().st_size)}
        assert card.weights == gguf.name
        assert (card.dimensions, card.pooling) == (48, "cls")

    def test_a_folder_with_one_gguf_file_is_that_model(self, gguf, cache):
        assert bring(cache, f"file:{gguf.parent}").weights == gguf.name

    def test_among_several_gguf_files_one_must_be_named(self, gguf, cache, tmp_path):
        for name in ("a.gguf", "b.gguf"):
            (tmp_path / name).write_bytes(gguf.read_bytes())
        with pytest.raises(ModelUnavailableError, match="2 GGUF files") as refusal:
            bring(cache, f"file:{tmp_path}")
        assert "a.gguf" in refusal.value.remedy

    def test_the_file_of_weights_that_is_named_is_the_one_that_is_used(self, tiny, cache, tmp_path):
        folder = shutil.copytree(tiny, tmp_path / "mine")
        other = tiny_source(tmp_path / "other").paths[WEIGHTS].read_bytes()[:-4] + b"abcd"
        (folder / "tuned.safetensors").write_bytes(other)
        card = bring(cache, f"file:{folder / 'tuned.safetensors'}")
        assert (card.name, card.weights) == ("file:tuned", "tuned.safetensors")
        assert card.revision == sha(other)[:40]
        with pytest.raises(ModelUnavailableError, match="neither a folder nor weights"):
            bring(cache, f"file:{folder / 'config.json'}")

    def test_known_weights_with_another_pooling_are_another_model(
        self, tiny, cache, files, monkeypatch
    ):
        pin = PinnedFile(sha(files[WEIGHTS]), len(files[WEIGHTS]))
        row = replace(bring(cache, f"file:{tiny}"), name="row", files={WEIGHTS: pin}, place="")
        for pooling, expected in (("cls", "row"), ("mean", "file:model")):
            rows = {"row": replace(row, pooling=pooling)}
            monkeypatch.setattr("embedwell.models.first_use.catalogue", lambda found=rows: found)
            found = bring(cache, f"file:{tiny}")
            assert (found.name, found.pooling) == (expected, "cls")

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ((WEIGHTS, b""), "'model.safetensors' cannot be read as safetensors"),
            ((WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid"), "pointer of Git LFS"),
            (
                ("tokenizer.json", b"version https://git-lfs.github.com/spec/v1"),
                "pointer of Git LFS",
            ),
            (("tokenizer.json", b"<html>"), "tokenizer .*model/tokenizer.json cannot be read"),
        ],
    )
    def test_a_folder_that_is_broken_is_not_remembered(self, tiny, cache, tmp_path, broken, said):
        name, content = broken
        folder = shutil.copytree(tiny, tmp_path / "model")
        (folder / name).write_bytes(content)
        with pytest.raises((ModelUnavailableError, WrongBytesError), match=said):
            bring(cache, f"file:{folder}")
        shutil.copy(tiny / name, folder / name)
        assert bring(cache, f"file:{folder}").weights == WEIGHTS

    def test_a_file_that_cannot_be_read_is_named(self, tiny, cache, tmp_path, monkeypatch):
        def refused(path, watch):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr("embedwell.models.first_use.sha256_of", refused)
        with pytest.raises(ModelUnavailableError, match=r"config.json cannot be read \(Permission"):
            bring(cache, f"file:{tiny}")
        with pytest.raises(ModelUnavailableError, match="that can be read"):
            bring(cache, f"file:{'x' * 300}")

    def test_a_place_that_is_not_there_is_named(self, cache, tmp_path):
        with pytest.raises(ModelUnavailableError, match="nowhere"):
            bring(cache, f"file:{tmp_path / 'nowhere'}")


@pytest.fixture(scope="module")
def gguf(tiny, tmp_path_factory) -> Path:
    """The tiny model as GGUF, with a tokenizer that the format has."""
    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("pieces") / "model")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(4, N_WORDS))]
    tokenizer = Tokenizer(WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(words[:4])
    tokenizer.save(str(folder / "tokenizer.json"))
    place = tmp_path_factory.mktemp("gguf") / "tiny-F32.gguf"
    return write_gguf(folder, place, "F32", pooling="cls")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("multilingual-e5-small", "low"),
        ("all-mpnet-base-v2", "medium"),
        ("multilingual-e5-base", "medium"),
        ("bge-m3", "high"),
        ("ms-marco-MiniLM-L6-v2", "medium"),
        ("bge-reranker-base", "high"),
        ("potion-base-8M", "instant"),
    ],
)
def test_a_brought_model_gets_the_latency_that_the_catalogue_has_for_its_size(name, expected):
    row = catalogue()[name]
    assert row.latency == expected
    own = replace(row, name="file:own", hub_id="", files={"w": PinnedFile("f" * 64, 1)})
    assert _as_catalogued(replace(own, latency="low"), "", has_modules=False).latency == expected


class TestCatalogue:
    @pytest.fixture
    def row(self, tiny, cache):
        """A row whose revision and hashes nobody knows yet."""
        found = bring(cache / "elsewhere", f"file:{tiny}")
        names = dict.fromkeys(found.files, PinnedFile("", 0))
        return replace(
            found, name="row", hub_id="someone/tiny", revision="main", files=names, place=""
        )

    def test_the_first_use_records_what_the_hub_publishes(self, hub, cache, row, files):
        pinned = FirstUse(cache, Watch()).pin(row, None)
        assert pinned.is_pinned
        assert pinned.space == row.space  # the declaration stays
        assert pinned.repository == ("someone/tiny", COMMIT)
        assert pinned.files[WEIGHTS].sha256 == sha(files[WEIGHTS])
        source = pull(pinned, mirrors(cache), Watch())
        assert source.paths[WEIGHTS].read_bytes() == files[WEIGHTS]

    def test_what_was_recorded_is_enforced_however_the_branch_moves(
        self, hub, cache, row, files, monkeypatch
    ):
        monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {"row": row})
        FirstUse(cache, Watch()).pin(row, None)
        hub.files = files | {WEIGHTS: files[WEIGHTS][::-1]}
        card = Known(cache).card("row")
        assert card.is_pinned
        with pytest.raises(ModelUnavailableError, match=f"{WEIGHTS} is not the published file"):
            pull(card, mirrors(cache), Watch())

    def test_a_hash_that_the_row_has_is_held_at_first_use(self, hub, cache, row):
        known = replace(row, files=row.files | {WEIGHTS: PinnedFile("0" * 64, 0)})
        assert not known.is_pinned
        with pytest.raises(WrongBytesError, match=f"{WEIGHTS} of row has SHA-256"):
            FirstUse(cache, Watch()).pin(known, None)
        assert not (cache / "models" / "pins").exists()

    def test_a_row_that_its_files_contradict_is_refused(self, hub, cache, row):
        with pytest.raises(ConversionError, match="pooling is cls, expected mean") as refusal:
            FirstUse(cache, Watch()).pin(replace(row, pooling="mean"), None)
        assert "`hf:someone/tiny#main`" in refusal.value.remedy

    def test_where_no_hub_answers_a_named_folder_is_recorded(self, hub, cache, row, tiny):
        hub.fault = "error"
        pinned = FirstUse(cache, Watch()).pin(row, tiny)
        assert pinned.is_pinned
        assert pinned.commit == ""

    def test_a_folder_of_another_model_is_not_recorded(self, hub, cache, row, tiny):
        hub.fault = "error"
        larger = replace(row, n_parameters=3 * row.n_parameters)
        with pytest.raises(ModelUnavailableError, match="does not hold row"):
            FirstUse(cache, Watch()).pin(larger, tiny)

    def test_nor_one_of_another_kind_and_the_same_size(self, hub, cache, row, tiny):
        hub.fault = "error"
        with pytest.raises(ModelUnavailableError, match="head is embedding, expected rerank"):
            FirstUse(cache, Watch()).pin(replace(row, head="rerank"), tiny)
        assert not (cache / "models" / "pins").exists()

    def test_a_folder_of_the_bare_files_says_nothing_of_the_pooling(
        self, hub, cache, row, tiny, tmp_path
    ):
        hub.fault = "error"
        for name in row.files:
            shutil.copy(tiny / name, tmp_path)
        assert row.pooling == "cls"  # without modules.json the files would say mean
        assert FirstUse(cache, Watch()).pin(row, tmp_path).is_pinned

    def test_with_neither_it_is_said(self, hub, cache, row, tmp_path):
        hub.fault = "error"
        with pytest.raises(ModelUnavailableError, match="answered 500") as refusal:
            FirstUse(cache, Watch()).pin(row, tmp_path)
        assert "model_files" in refusal.value.remedy

    def test_what_a_named_folder_lacks_is_said(self, hub, cache, row, tiny, tmp_path):
        hub.fault = "error"
        shutil.copy(tiny / "config.json", tmp_path)
        with pytest.raises(ModelUnavailableError, match=f"{tmp_path} has no tokenizer.json, "):
            FirstUse(cache, Watch()).pin(row, tmp_path)

    def test_a_file_that_the_hub_lacks_is_named(self, hub, cache, row):
        del hub.files[WEIGHTS]
        with pytest.raises(ModelUnavailableError, match=f"has no {WEIGHTS}"):
            FirstUse(cache, Watch()).pin(row, None)

    def test_bytes_of_a_catalogues_model_are_that_model(self, cache, tiny, row, monkeypatch):
        found = bring(cache / "elsewhere", f"file:{tiny}")
        whole = replace(row, files=found.files)
        for module in ("known", "first_use"):
            monkeypatch.setattr(f"embedwell.models.{module}.catalogue", lambda: {"row": whole})
        card = bring(cache, f"file:{tiny}")
        assert card.space == row.space
        named = Known(cache).card(f"file:{tiny}")
        assert named.space == row.space
        assert named.called == f"file:{tiny}"
        assert [card.name for card in Known(cache).all()] == ["row"]

    def test_a_gguf_file_stands_in_for_published_weights(self, cache, row, gguf, monkeypatch):
        monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {"row": row})
        card = FirstUse(cache, Watch()).stand_in(row, gguf)
        assert card.space == row.space
        assert (card.weights, card.place) == (gguf.name, str(gguf))
        assert Known(cache).card("row").files == card.files

    def test_a_gguf_file_of_another_model_does_not(self, cache, row, gguf):
        with pytest.raises(WrongBytesError, match="expected") as refusal:
            FirstUse(cache, Watch()).stand_in(replace(row, dimensions=64), gguf)
        assert f"file:{gguf}" in refusal.value.remedy
