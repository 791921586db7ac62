"""What is said where a model does not cover the language of an index."""

import json
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

import embedwell
from embedwell.app.models.language import judge, suggest, uncovered
from embedwell.cli.main import cli
from embedwell.models.catalogue import card, catalogue

FRENCH = [
    f"La maison numéro {n} est au bord de la rivière, et son jardin est plus grand que les autres."
    for n in range(12)
]
ENGLISH = [
    f"House number {n} is at the side of the river, and its garden is larger than the others."
    for n in range(12)
]
CODE = [f"def area_{n}(width, height):\n    return width * height * {n}\n" for n in range(12)]
MINILM = card("all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (FRENCH, "fr"),
        (ENGLISH, ""),
        (FRENCH[:4], ""),  # too few to say
        (FRENCH[:6] + ENGLISH[:6], ""),
        (FRENCH[:7] + ENGLISH[:5], "fr"),
        (CODE, ""),
        (CODE * 3 + FRENCH, ""),
        ([], ""),
    ],
)
def test_most_of_the_text_must_be_in_other_languages(texts, expected):
    language, share = judge(texts, MINILM)
    assert language == expected
    assert (share > 0.5) == bool(expected)


def test_a_model_of_many_languages_covers_them():
    assert judge(FRENCH, card("multilingual-e5-small")) == ("", 0.0)


def test_the_smallest_model_that_covers_it_and_fits_is_named():
    cards = tuple(catalogue().values())
    assert suggest(cards, "fr", 8 << 30) == "multilingual-e5-small"
    assert suggest(cards, "fr", 1 << 20) == ""
    coder = replace(card("multilingual-e5-small"), domain="code", n_parameters=1)
    assert suggest((coder,), "fr", 8 << 30) == ""


def test_an_index_and_the_doctor_say_it(real_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, text in enumerate(FRENCH):
        (tmp_path / f"{number}.txt").write_text(text)
    told = CliRunner().invoke(cli, ["index", "."])
    assert "French" in told.stderr
    assert "embedwell migrate --to multilingual-e5-small" in told.stderr
    checks = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)["checks"]
    (found,) = [check for check in checks if check["name"] == "language"]
    assert found["ok"]
    assert "French" in found["found"]
    with embedwell.open(tmp_path) as index:
        assert asdict(uncovered(index.store, index.settings))["language"] == "fr"


def test_english_code_and_unchanged_indexes_are_not_commented_on(real_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (text, code) in enumerate(zip(ENGLISH, CODE, strict=True)):
        (tmp_path / f"{number}.txt").write_text(text)
        (tmp_path / f"{number}.py").write_text(code)
    told = CliRunner().invoke(cli, ["index", ".", "--json"])
    assert json.loads(told.stdout)["uncovered"] is None
    checks = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)["checks"]
    assert "language" not in {check["name"] for check in checks}
