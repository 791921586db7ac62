from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fake_machine import MB, FakeMachine
from tiny_reranker import logit, tiny_reranker, tiny_reranker_source
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from embedwell.core.errors import (
    EngineError,
    EngineMemoryError,
    QueryError,
    TaskCancelledError,
    WrongBytesError,
    WrongTaskError,
)
from embedwell.core.events import Watch
from embedwell.engines.protocol import EngineBuild, TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.managed import embed, score
from embedwell.runtime.pair_tokenizer import PairTokenizer
from embedwell.runtime.reranker import LocalReranker, sigmoid
from embedwell.runtime.states import Limits

QUERY = "w3 w4 w5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reranker")


@pytest.fixture(scope="module")
def artifact(folder):
    return tiny_reranker(folder)


@pytest.fixture(scope="module")
def source(folder, artifact):
    return tiny_reranker_source(folder / "again")


def texts_of(seed: int, n_texts: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        " ".join(f"w{word}" for word in rng.integers(3, 60, rng.integers(0, 20)))
        for _ in range(n_texts)
    ]


@dataclass
class CountingEngine:
    """Gives each pair the sum of its ids and, a thousand times, of its types."""

    sizes: list[int] = field(default_factory=list)
    refused: int = -1
    build = EngineBuild("counting", "1", "")

    def run(self, batch: TokenBatch):
        self.sizes.append(batch.ids.size)
        if (batch.ids == self.refused).any():
            raise EngineError("The engine broke.", "Mend it.")
        return (batch.ids.sum(axis=1) + 1000 * batch.types.sum(axis=1))[:, None].astype(np.float32)

    def close(self):
        pass


def test_scores_are_those_of_the_plain_numpy_network(artifact, source):
    texts = texts_of(1, 12)
    reranker = LocalReranker(artifact, open_engine(artifact, 1))
    found = reranker.score(QUERY, texts, Watch())
    tokenizer = Tokenizer.from_file(str(artifact.tokenizer_file))
    pairs = [tokenizer.encode(QUERY, text) for text in texts]
    expected = [1 / (1 + np.exp(-logit(source, pair.ids, pair.type_ids))) for pair in pairs]
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert np.ptp(expected) > 0.05
    assert found.scores.dtype == np.float32
    assert found.n_tokens == sum(len(pair.ids) for pair in pairs)
    assert found.n_truncated == 0
    reranker.close()


def test_a_score_does_not_depend_on_the_texts_beside_it(artifact):
    texts = texts_of(2, 20)
    reranker = LocalReranker(artifact, open_engine(artifact, 1))
    together = reranker.score(QUERY, texts, Watch()).scores
    alone = [reranker.score(QUERY, [text], Watch()).scores[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_which_is_the_query_and_which_the_passage_matters(artifact):
    reranker = LocalReranker(artifact, open_engine(artifact, 1))
    one = reranker.score("w3 w4", ["w9 w8 w7"], Watch()).scores[0]
    other = reranker.score("w9 w8 w7", ["w3 w4"], Watch()).scores[0]
    assert abs(one - other) > 1e-3


def test_only_the_passage_is_cut(artifact):
    pairs = PairTokenizer(artifact.tokenizer_file, 12)
    query, long = "w3 w4 w5", " ".join(["w9"] * 30)
    (cut,) = pairs.encode(query, [long])
    assert cut.ids[:, 0].tolist() == [1, 3, 4, 5, 2, *[9] * 6, 2]
    assert cut.ids[:, 1].tolist() == [0] * 5 + [1] * 7
    assert cut.n_tokens == 36
    (whole,) = pairs.encode(query, ["w9"])
    assert (len(whole.ids), whole.n_tokens) == (7, 7)


def test_the_marks_between_two_texts_are_the_models_own(artifact, tmp_path):
    tokenizer = Tokenizer.from_file(str(artifact.tokenizer_file))
    tokenizer.post_processor = TemplateProcessing(  # as XLM-RoBERTa writes them
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    tokenizer.enable_padding(length=64)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (pair,) = PairTokenizer(tmp_path / "tokenizer.json", 11).encode("w3 w4", ["w9 " * 20])
    assert pair.ids[:, 0].tolist() == [1, 3, 4, 2, 2, 9, 9, 9, 9, 9, 2]
    assert not pair.ids[:, 1].any()
    assert pair.n_tokens == 26


def test_pairs_that_are_cut_are_counted(artifact):
    reranker = LocalReranker(artifact, CountingEngine())
    found = reranker.score(QUERY, ["w9", " ".join(["w9"] * 30)], Watch())
    assert found.n_truncated == 1
    assert found.n_tokens == 7 + 32


def test_a_query_that_leaves_no_room_is_refused(artifact):
    pairs = PairTokenizer(artifact.tokenizer_file, 32)
    pairs.encode(" ".join(["w3"] * 13), ["w4"])
    with pytest.raises(QueryError, match="14 tokens"):
        pairs.encode(" ".join(["w3"] * 14), ["w4"])


def test_a_very_long_text_is_read_in_part_and_its_count_estimated(artifact):
    pairs = PairTokenizer(artifact.tokenizer_file, 32)
    seen: list[int] = []

    class Watched:
        """Notes how much of a text is read at once."""

        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def encode(self, text, **options):
            seen.append(len(text))
            return self._inner.encode(text, **options)

        def encode_batch_fast(self, texts, **options):
            seen.extend(map(len, texts))
            return self._inner.encode_batch_fast(texts, **options)

    pairs._tokenizer = Watched(pairs._tokenizer)
    (found,) = pairs.encode(QUERY, ["w9 " * 100_000])
    assert found.ids[:, 0].tolist() == [1, 3, 4, 5, 2, *[9] * 26, 2]
    assert found.n_tokens == pytest.approx(100_006, rel=0.01)
    with pytest.raises(QueryError, match=r"The query has \d{5,6} tokens"):
        pairs.encode("w9 " * 100_000, ["w9"])
    assert max(seen) < 5000


def test_lone_surrogates_are_no_fault(artifact):
    pairs = PairTokenizer(artifact.tokenizer_file, 32)
    assert len(pairs.encode("w3 \ud800", ["w4 \udfff"])[0].ids) == 7


def test_a_tokenizer_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(WrongBytesError, match=r"tokenizer\.json"):
        PairTokenizer(tmp_path / "tokenizer.json", 32)


def test_pairs_are_batched_by_their_tokens(artifact):
    engine = CountingEngine()
    reranker = LocalReranker(artifact, engine, lambda: 40)
    found = reranker.score("w3", ["w9 w9"] * 12 + [" ".join(["w9"] * 25)], Watch())
    assert max(engine.sizes) <= 40
    assert len(engine.sizes) < 13
    assert found.scores.tolist() == [1.0] * 13


def test_texts_that_cannot_be_scored_are_an_error_that_names_them(artifact):
    reranker = LocalReranker(artifact, CountingEngine(refused=9))
    with pytest.raises(EngineError, match="1 texts could not be scored; text 1: The engine broke"):
        reranker.score("w3", ["w4", "w9", "w5"], Watch())


def test_scoring_stops_when_asked_to(artifact):
    cancelled = threading.Event()
    cancelled.set()
    reranker = LocalReranker(artifact, CountingEngine())
    with pytest.raises(TaskCancelledError):
        reranker.score("w3", ["w4"], Watch(cancelled=cancelled))


def test_the_sigmoid_neither_overflows_nor_loses_small_scores():
    logits = np.array([-1000, -20, 0, 20, 1000], np.float32)
    found = sigmoid(logits)
    np.testing.assert_allclose(found[1:4], [np.exp(-20), 0.5, 1], rtol=1e-6)
    assert (found[0], found[4]) == (0, 1)


class ScoringMachine(FakeMachine):
    """A machine whose engines score pairs.

    Attributes:
        left: Runs that the artifact of a key has before there is no memory for more.
    """

    def __init__(self, left: dict[str, int] | None = None) -> None:
        super().__init__()
        self.left = left or {}

    def open(self, artifact, n_threads):
        self.taken += artifact.size_bytes
        self.n_loads[artifact.key] += 1
        machine = self

        class Engine(CountingEngine):
            def run(self, batch):
                left = machine.left.get(artifact.key, 10_000)
                machine.left[artifact.key] = left - 1
                if not left > 0:
                    raise EngineMemoryError("No memory.", "Free some.")
                return super().run(batch)

            def close(self):
                machine.taken -= artifact.size_bytes

        return Engine()


def models_of(fake, **given):
    return LoadedModels(Limits(900 * MB, 2, 0.0, 1), machine=fake.machine(), **given)


def test_a_reranker_is_loaded_once_and_counted_like_any_model(artifact):
    fake, sized = ScoringMachine(), replace(artifact, size_bytes=30 * MB)
    models, steps = models_of(fake), []
    texts = ["w3 w4"] * 2500
    found = score(models, sized, QUERY, texts, Watch(steps.append))
    assert found.scores.shape == (2500,)
    assert found.n_tokens == 2500 * 8
    assert fake.n_loads[sized.key] == 1
    done = [step.done for step in steps if step.stage == "rerank"]
    assert done == sorted(done)
    (state,) = models.states()
    assert state.size_bytes >= 30 * MB
    models.close()


def test_no_texts_are_scored_without_loading(artifact):
    fake = ScoringMachine()
    assert score(models_of(fake), artifact, QUERY, [], Watch()).scores.shape == (0,)
    assert not fake.n_loads


@pytest.mark.parametrize("n_before", [1, 40])
def test_a_lower_quantization_stands_in_where_there_is_no_memory(artifact, n_before):
    fake = ScoringMachine({artifact.key: n_before})
    lower = replace(artifact, key="lower", quantization="q8")
    models = models_of(fake, lower=lambda given: lower if given.key == artifact.key else None)
    found = score(models, artifact, QUERY, ["w3 w4"] * 1500, Watch())
    assert (found.scores == 1).all()
    assert found.n_tokens == 1500 * 8
    assert fake.n_loads["lower"] == 1
    models.close()


def test_each_kind_of_model_is_refused_for_the_others_work(artifact):
    fake = ScoringMachine()
    models = models_of(fake)
    with pytest.raises(WrongTaskError, match="scores pairs"):
        embed(models, artifact, ["w3"], "query", Watch())
    plain = FakeMachine()
    other = replace(artifact, head="embedding", space=replace(artifact.space, dimensions=4))
    with pytest.raises(WrongTaskError, match="gives vectors"):
        score(models_of(plain), other, QUERY, ["w3"], Watch())
