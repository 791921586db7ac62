"""`models calibrate`: whichever form the model's files have."""

from __future__ import annotations

import pytest
from gguf_writer import write_gguf
from msgspec import structs
from tiny_bert import N_WORDS, tiny_source
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from embedwell.app.config.settings import Settings
from embedwell.app.models import calibration
from embedwell.app.models.calibration import calibrate_model
from embedwell.app.models.distill import distill_model
from embedwell.app.models.obtain import artifact
from embedwell.core.errors import ConversionError
from embedwell.core.events import Watch

TEXTS = [f"w{n} w{n + 1} w7" for n in range(10, 50)] * 2


@pytest.fixture(autouse=True)
def few_texts(monkeypatch):
    monkeypatch.setattr(calibration, "calibration_texts", lambda: TEXTS)


@pytest.fixture
def settings(tmp_path) -> Settings:
    tiny_source(tmp_path / "tiny")
    return Settings(model=f"file:{tmp_path / 'tiny'}", cache=tmp_path / "cache", threads=1)


def test_a_folder_that_nobody_looked_at_yet_is_calibrated_and_its_q8_made_with_it(settings):
    place = calibrate_model(settings, None, None, Watch())
    assert place.parent == settings.cache / "recipes"
    assert artifact(settings, f"{settings.model}@q8", Watch()).recipe


def test_a_gguf_file_is_calibrated_with_the_tokenizer_inside(settings, tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(4, N_WORDS))]
    tokenizer = Tokenizer(WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    tokenizer.add_special_tokens(words[:4])
    tokenizer.save(str(tmp_path / "tiny" / "tokenizer.json"))
    file = write_gguf(tmp_path / "tiny", tmp_path / "tiny.gguf", "F32", pooling="mean")
    of_file = structs.replace(settings, model=f"file:{file}")
    calibrate_model(of_file, None, None, Watch())
    assert artifact(of_file, f"{of_file.model}@q8", Watch()).recipe


def test_a_table_has_nothing_to_calibrate(settings):
    made = distill_model(settings, 8, None, Watch())
    with pytest.raises(ConversionError, match="needs no scales"):
        calibrate_model(structs.replace(settings, model=made.name), None, None, Watch())
