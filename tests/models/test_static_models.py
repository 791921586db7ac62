"""Static models: tables that others published, and tables that we distil."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from embedwell.core.artifact import Artifact
from embedwell.core.errors import ConversionError, TaskCancelledError, WrongBytesError
from embedwell.core.events import Watch
from embedwell.core.space import Space
from embedwell.engines.registry import open_engine
from embedwell.models import distill
from embedwell.models.catalogue import PinnedFile, card
from embedwell.models.distill import Vocabulary, read_vocabulary
from embedwell.models.source import SourceFiles
from embedwell.models.static import write_static
from embedwell.runtime.embedder import LocalEmbedder

WORDS = ["[PAD]", "[UNK]", "bread", "rises", "warm", "drive", "failed"]
DIMENSIONS = 8


def tokenizer_json(**changed):
    special = [
        {"id": at, "content": word, "special": True, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for at, word in enumerate(WORDS[:2])
    ]
    model = {"type": "WordLevel", "vocab": {w: at for at, w in enumerate(WORDS)}}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst"}
        | {"stride": 0},
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": model | {"unk_token": "[UNK]"},
    } | changed


def table_source(folder, tensors, tokenizer=None):
    """A static model's files as somebody published them."""
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer or tokenizer_json()))
    (folder / "config.json").write_text('{"model_type": "model2vec"}')
    paths = {path.name: path for path in folder.iterdir()}
    pins = {
        name: PinnedFile(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for name, path in paths.items()
    }
    row = replace(
        card("all-MiniLM-L6-v2"),
        name="table",
        architecture="static",
        dimensions=DIMENSIONS,
        files=pins,
    )
    return SourceFiles(row, paths, "local")


def opened(source, level, folder):
    folder.mkdir()
    write_static(source, level, folder, Watch())
    space = Space("table", "1", "mean", True, "", "", 512, DIMENSIONS)
    artifact = Artifact(space, level, "static", folder, f"{folder}", "", "", 0)
    return LocalEmbedder(artifact, open_engine(artifact, 1))


def embed(embedder, texts):
    return embedder.embed(texts, "document", Watch()).vectors


@pytest.fixture
def table():
    return np.random.default_rng(1).standard_normal((len(WORDS), DIMENSIONS)).astype(np.float32)


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(("level", "tolerance"), [("q32", 1e-6), ("q16", 1e-3), ("q8", 2e-2)])
def test_a_vector_is_the_mean_of_the_words_that_are_known(tmp_path, table, level, tolerance):
    source = table_source(tmp_path / "published", {"embeddings": table})
    embedder = opened(source, level, tmp_path / "made")
    found = embed(embedder, ["Bread rises warm rises, said nobody", "drive"])
    wanted = [unit(table[2] + 2 * table[3] + table[4]), unit(table[5])]
    np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_texts_without_a_known_word_get_the_mean_of_the_table(tmp_path, table):
    source = table_source(tmp_path / "published", {"embeddings": table})
    embedder = opened(source, "q32", tmp_path / "made")
    found = embed(embedder, ["", "quark", "🦆 🦆"])
    np.testing.assert_allclose(found, [unit(table[2:].sum(axis=0))] * 3, atol=1e-6)


def test_a_vector_does_not_depend_on_its_company(tmp_path, table):
    source = table_source(tmp_path / "published", {"embeddings": table})
    embedder = opened(source, "q8", tmp_path / "made")
    texts = ["bread", "bread rises " * 40, "", "warm drive failed"]
    alone = np.concatenate([embed(embedder, [text]) for text in texts])
    np.testing.assert_allclose(embed(embedder, texts), alone, atol=1e-6)


def test_rows_may_be_shared_and_weighed(tmp_path, table):
    weights = np.linspace(1, 2, len(WORDS), dtype=np.float32)
    mapping = np.array([0, 0, 1, 1, 2, 2, 2])  # int64, as Model2Vec publishes them
    tensors = {"embeddings": table[:3], "weights": weights, "mapping": mapping}
    embedder = opened(table_source(tmp_path / "published", tensors), "q32", tmp_path / "made")
    wanted = unit(weights[2] * table[1] + weights[5] * table[2])
    np.testing.assert_allclose(embed(embedder, ["bread drive"])[0], wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ({"vectors": (7, DIMENSIONS)}, "none of embeddings"),
        ({"embeddings": (6, DIMENSIONS)}, "6 rows of 8 values.*7 tokens"),
        ({"embeddings": (7, 5)}, "7 rows of 5 values.*8 dimensions"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, tensors, match):
    arrays = {name: np.ones(shape, np.float32) for name, shape in tensors.items()}
    with pytest.raises(ConversionError, match=match):
        opened(table_source(tmp_path / "published", arrays), "q32", tmp_path / "made")


@pytest.mark.parametrize(
    "lists",
    [
        {"mapping": np.array([0, 0, 1, 1, 2, 2, 7])},
        {"mapping": np.array([0, 0, 1, 1, 2, 2, -1])},
        {"mapping": np.zeros(6, np.int64)},
        {"weights": np.ones(6, np.float32)},
        {"weights": np.ones((7, 1), np.float32)},
        {"weights": np.array(1, np.float32)},
    ],
)
def test_lists_that_do_not_fit_the_tokens_are_refused(tmp_path, table, lists):
    with pytest.raises(ConversionError, match="7 tokens"):
        opened(
            table_source(tmp_path / "published", {"embeddings": table} | lists),
            "q8",
            tmp_path / "made",
        )


def test_values_that_are_no_numbers_are_refused(tmp_path, table):
    table[3, 3] = np.nan
    with pytest.raises(ConversionError, match=r"'embeddings' .* has values"):
        opened(table_source(tmp_path / "published", {"embeddings": table}), "q8", tmp_path / "made")


@pytest.mark.parametrize("content", ["", "[]", '{"model": {}}', '{"model": {"vocab": {"a": "b"}}}'])
def test_a_broken_tokenizer_is_refused(tmp_path, table, content):
    source = table_source(tmp_path / "published", {"embeddings": table})
    source.paths["tokenizer.json"].write_text(content)
    with pytest.raises(WrongBytesError, match=r"tokenizer\.json' is no tokenizer"):
        opened(source, "q32", tmp_path / "made")


def test_there_is_no_static_q4(tmp_path, table):
    with pytest.raises(ConversionError, match="no q4"):
        opened(table_source(tmp_path / "published", {"embeddings": table}), "q4", tmp_path / "made")


class TestDistilling:
    """A network that adds up hidden rows of its tokens is found again by distilling it."""

    N_TOKENS = 400

    @pytest.fixture
    def hidden(self):
        return np.random.default_rng(3).standard_normal((self.N_TOKENS + 3, 32)).astype(np.float32)

    @pytest.fixture
    def vocabulary(self):
        size = self.N_TOKENS + 3
        return Vocabulary(size, np.arange(3, size), begin=(1,), end=(2,))

    def test_rows_give_texts_the_angles_that_the_network_gives(self, hidden, vocabulary):
        def network(ids):
            assert (ids[:, 0] == 1).all()
            assert (ids[:, -1] == 2).all()
            return hidden[ids[:, 1:-1]].mean(axis=1)

        table = distill.distill(network, vocabulary, 32, Watch())
        assert table.shape == (403, 32)
        assert not table[:3].any()
        ids = np.random.default_rng(5).integers(3, 403, (60, 6))
        weights = np.linalg.norm(table[3:], axis=1).mean() / np.linalg.norm(table[ids], axis=2)
        static = (table[ids] * weights[..., None]).sum(axis=1)
        exact = network(np.pad(ids, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 2))))
        angles = [unit(rows) @ unit(rows).T for rows in (static, exact - hidden[3:].mean(axis=0))]
        assert np.corrcoef(*[np.concatenate(each) for each in angles])[0, 1] > 0.9

    def test_frequent_tokens_weigh_less(self, hidden, vocabulary):
        table = distill.distill(lambda ids: hidden[ids].mean(axis=1), vocabulary, 8, Watch())
        norms = np.linalg.norm(table[3:], axis=1)
        assert norms[:20].mean() < 0.2 * norms[-100:].mean()

    def test_the_same_network_gives_the_same_table(self, hidden, vocabulary):
        tables = [
            distill.distill(lambda ids: hidden[ids].mean(axis=1), vocabulary, 8, Watch())
            for _ in range(2)
        ]
        np.testing.assert_array_equal(*tables)

    def test_it_can_be_stopped(self, hidden, vocabulary):
        watch = Watch()
        watch.cancelled.set()
        with pytest.raises(TaskCancelledError):
            distill.distill(lambda ids: hidden[ids].mean(axis=1), vocabulary, 8, watch)


def test_the_vocabulary_of_a_real_tokenizer(published):
    vocabulary = read_vocabulary(published / "tokenizer.json", "query: ")
    assert (vocabulary.size, len(vocabulary.ordinary)) == (30522, 29523)
    assert vocabulary.begin == (101, 23032, 1024)  # [CLS] query :
    assert vocabulary.end == (102,)
    assert not {0, 1, 100, 101, 102, 103} & set(vocabulary.ordinary.tolist())


def test_a_vocabulary_that_cannot_be_read_is_refused(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(WrongBytesError, match=r"tokenizer .* cannot be read"):
        read_vocabulary(file)
