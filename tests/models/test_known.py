from dataclasses import replace
from pathlib import Path

import pytest
from published import made_up_card

from embedwell.core.errors import UnknownModelError
from embedwell.models.catalogue import GgufSource, PinnedFile, card
from embedwell.models.known import Known, in_full
from embedwell.models.names import parse_name
from embedwell.models.shelf import Brought, Pins, Shelf

MINILM = "all-MiniLM-L6-v2"
PIN = PinnedFile("a" * 64, 5)
OWN = replace(made_up_card(), name="hf:someone/own", revision="b" * 40, matryoshka=(128, 64))


@pytest.fixture
def known(tmp_path):
    return Known(tmp_path / "cache")


@pytest.fixture
def own(known):
    Shelf(known.cache).keep(Brought(OWN.name, OWN))
    return known


@pytest.mark.parametrize(
    "name",
    [MINILM, "all-minilm", f"sentence-transformers/{MINILM}", f"hf:sentence-transformers/{MINILM}"],
)
def test_a_models_aliases_and_its_repository_name_it(known, name):
    assert known.card(name).space == card(MINILM).space
    assert known.named(f"{name}:latest@q4")[1] == "q4"


def test_an_unknown_model_is_answered_with_the_known_ones(own):
    with pytest.raises(UnknownModelError) as refusal:
        own.card("all-MiniLM-L7")
    assert MINILM in refusal.value.remedy
    assert OWN.name in refusal.value.remedy


def test_what_nobody_looked_at_yet_is_answered_with_how_to(known):
    with pytest.raises(UnknownModelError) as refusal:
        known.card("hf:someone/own#v2:64")
    assert "embedwell models pull hf:someone/own#v2:64" in refusal.value.remedy
    with pytest.raises(UnknownModelError, match="server's own name"):
        known.card("remote:someones-model")


def test_a_model_that_was_brought_is_known_by_what_it_was_named(own):
    assert own.card("hf:someone/own@q8").space == OWN.space
    assert own.card(f"hf:someone/own#{'b' * 40}").called == f"hf:someone/own#{'b' * 40}"
    assert own.all()[-1] == OWN
    with pytest.raises(UnknownModelError):
        own.card("hf:someone/own#other")


def test_a_shorter_length_is_another_space_of_the_same_model(own):
    cut = own.card("hf:someone/own:64")
    assert (cut.dimensions, cut.full_dimensions, cut.cut) == (64, 384, "plain")
    assert cut.called == "hf:someone/own:64"
    assert cut.space.id != OWN.space.id
    assert cut.space.model == OWN.name
    assert own.card("hf:someone/own:384").cut == ""
    assert replace(cut, centred_cut=True).cut == "centred"


def test_a_length_that_it_was_not_trained_for_is_refused_with_those_that_it_was(own):
    with pytest.raises(UnknownModelError) as refusal:
        own.card("hf:someone/own:100")
    assert ":128, :64" in refusal.value.remedy
    with pytest.raises(UnknownModelError, match="not trained"):
        own.card(f"{MINILM}:128")


@pytest.mark.parametrize("tag", ["", ":64", ":128"])
def test_a_stored_space_finds_its_model_again(own, tag):
    space = own.card(f"hf:someone/own{tag}").space
    assert own.name_of(space) == f"hf:someone/own{tag}"
    assert own.name_of(card(MINILM).space) == MINILM


def test_of_two_revisions_the_newest_has_the_plain_name(own):
    newer = replace(OWN, revision="c" * 40)
    Shelf(own.cache).keep(Brought(newer.name, newer))
    assert own.card(OWN.name).revision == "c" * 40
    assert own.name_of(OWN.space) == f"{OWN.name}#{'b' * 40}"
    assert own.name_of(newer.space) == OWN.name


def test_a_space_that_nothing_here_has_keeps_the_name_to_look_at_it_by(known):
    assert known.name_of(OWN.space) == f"{OWN.name}#{'b' * 40}"
    assert known.name_of(replace(card(MINILM).space, max_tokens=7)) == MINILM


def test_the_tag_gguf_names_other_files_of_the_same_space(known, monkeypatch):
    source = GgufSource("other/gguf", "d" * 40, "own-Q8_0.gguf", PIN)
    row = replace(made_up_card(), gguf=source, commit="e" * 40)
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {row.name: row})
    found = known.card("made-up:gguf")
    assert found.space == row.space
    assert found.files == {"own-Q8_0.gguf": PIN}
    assert found.repository == ("other/gguf", "d" * 40)
    assert row.repository == (row.hub_id, "e" * 40)
    assert found.called == "made-up:gguf"
    monkeypatch.setattr(
        "embedwell.models.known.catalogue", lambda: {row.name: replace(row, files={})}
    )
    assert known.card("made-up").files == {"own-Q8_0.gguf": PIN}


def test_a_model_without_gguf_says_so(known):
    with pytest.raises(UnknownModelError, match="no weights as GGUF"):
        known.card(f"{MINILM}:gguf")


def test_recorded_hashes_complete_a_row_and_never_change_one(known, monkeypatch):
    unknown = replace(made_up_card(), files={"a": PinnedFile("", 0), "b.gguf": PIN})
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {unknown.name: unknown})
    Shelf(known.cache).pin(unknown, Pins("f" * 40, {"a": PIN, "b.gguf": PIN}))
    found = known.card("made-up")
    assert (found.is_pinned, found.commit) == (True, "f" * 40)
    assert found.space == unknown.space
    whole = replace(unknown, files={"a": PinnedFile("0" * 64, 1), "b.gguf": PIN})
    assert Shelf(known.cache).pinned(whole) == whole
    more = replace(unknown, files={**unknown.files, "c": PinnedFile("", 0)})
    assert Shelf(known.cache).pinned(more) == more


@pytest.mark.parametrize(("commit", "is_kept"), [("f" * 40, True), ("", False)])
def test_hashes_of_a_hub_stay_and_those_of_a_folder_go(known, monkeypatch, commit, is_kept):
    row = replace(made_up_card(), files={"a": PinnedFile("", 0)})
    monkeypatch.setattr("embedwell.models.known.catalogue", lambda: {row.name: row})
    Shelf(known.cache).pin(row, Pins(commit, {"a": PIN}))
    Shelf(known.cache).forget(known.card("made-up"))
    assert known.card("made-up").is_pinned == is_kept


def test_a_damaged_memory_is_passed_over_and_named(own, caplog):
    (place,) = own.cache.glob("models/*.json")
    place.write_text("{")
    assert Shelf(own.cache).brought() == ()
    assert str(place) in caplog.text


def test_what_is_forgotten_is_not_known(own):
    Shelf(own.cache).forget(OWN)
    with pytest.raises(UnknownModelError) as refusal:
        own.card(OWN.name)
    assert "models pull" in refusal.value.remedy


def test_the_name_of_a_file_that_is_unknown_here_asks_for_its_path(known):
    with pytest.raises(UnknownModelError) as refusal:
        known.card("file:mine-static-256")  # as an index has it that was made elsewhere
    assert "`embedwell models pull file:PATH`" in refusal.value.remedy


@pytest.mark.parametrize("path", ["~nobody-of-that-name/model", "a\0b", "loop/model"])
def test_a_path_that_can_be_none_is_refused_as_a_name(known, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UnknownModelError):
        known.card(f"file:{path}")


def test_a_folder_is_another_model_than_one_of_that_name_elsewhere(known, tmp_path, monkeypatch):
    for place, revision in (("a", "1" * 40), ("b", "2" * 40)):
        folder = tmp_path / place / "own"
        folder.mkdir(parents=True)
        card = replace(OWN, name="file:own", revision=revision, place=str(folder))
        Shelf(known.cache).keep(Brought(f"file:{folder}", card))
    for place in ("a", "b"):
        card = known.card(f"file:{tmp_path / place / 'own'}")
        assert card.place == str(tmp_path / place / "own")
        assert known.card(f"{card.called}@q8").revision == card.revision
        assert known.card(known.name_of(card.space)).revision == card.revision
        monkeypatch.chdir(tmp_path / place)
        assert known.card("file:own").revision == card.revision
    (tmp_path / "c" / "own").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "c")
    assert not known.knows(parse_name("file:own"))
    assert known.knows(parse_name(known.name_of(card.space)))


def test_a_path_that_is_here_is_told_in_full_to_who_works_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path)
    assert in_full("file:own:64@q8") == f"file:{tmp_path}/own:64@q8"
    assert in_full("file:./own") == f"file:{tmp_path}/own"
    for name in ("file:nothing-here", f"file:own#{'a' * 40}", "hf:someone/own@q8", MINILM):
        assert in_full(name) == name
