"""An index with a model for text and one for code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

import embedwell
from embedwell.app.config.settings import Settings
from embedwell.app.embedding.pair_settings import of_index, unused_code_model, with_lengths
from embedwell.app.indexes.index import Index
from embedwell.app.indexes.requests import FolderRequest
from embedwell.core.errors import (
    CodeMemoryError,
    OverBudgetError,
    SettingsError,
    SpaceMismatchError,
)
from embedwell.core.events import Watch
from embedwell.handshake.admit import admitted
from embedwell.jobs.fill import fill_space
from embedwell.jobs.sweeping.sweep import Sweeping
from embedwell.models.catalogue import card
from embedwell.models.known import Known
from embedwell.stores.protocol import CodeSpace, CollectionSettings
from embedwell.stores.registry import create_store, open_store
from embedwell.stores.spaces import EVERYTHING
from embedwell.testing import FakeEmbedder

TEXT = card("all-MiniLM-L6-v2").space
CODE = card("all-mpnet-base-v2").space
SPACES = {TEXT.model: TEXT, CODE.model: CODE}
PROSE = ["the lamp blinks amber", "dough rises in the warmth", "the ferry leaves at noon"]
SOURCES = [
    "def blink(lamp): lamp.amber()",
    "def rise(dough, warmth): ...",
    "class Ferry: noon = 12",
]
PROSE_IDS, SOURCE_IDS = ["lamp", "dough", "ferry"], ["lamp.py", "dough.py", "ferry.py"]


class Machine:
    """Makes fakes, remembers whom it made, and says what does not fit."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.too_large: dict[str, type[OverBudgetError]] = {}

    def connect(self, settings: Settings, watch: Watch) -> FakeEmbedder:
        if error := self.too_large.get(settings.model):
            raise error(f"{settings.model} needs 400 MB of 100 MB.", "Take another.")
        self.loaded.append(settings.model)
        return FakeEmbedder(SPACES[settings.model])


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture(params=["split", "hybrid"])
def domain(request):
    return request.param


def made(place, machine, domain) -> Index:
    pair = CodeSpace(CODE, "", hybrid=domain == "hybrid")
    create_store(place, CollectionSettings(TEXT, 60, "", pair)).close()
    return opened(place, machine)


def opened(place, machine, **changes) -> Index:
    store = open_store(place)
    settings = structs.replace(Settings(), **changes)
    return Index(place, store, of_index(settings, store.settings, changes), connect=machine.connect)


@pytest.fixture
def index(tmp_path, machine, domain):
    with made(tmp_path / "index.db", machine, domain) as found:
        yield found


def fill(index):
    index.add(PROSE, ids=PROSE_IDS)
    index.add(SOURCES, ids=SOURCE_IDS, kind="code")


def keys(found):
    return [result.chunk.key for result in found.results]


def test_each_model_is_loaded_when_its_kind_comes(index, machine, domain):
    assert index.load().space == TEXT
    assert machine.loaded == []
    index.add(PROSE, ids=PROSE_IDS)
    assert machine.loaded == [TEXT.model]
    index.add(SOURCES, ids=SOURCE_IDS, kind="code")
    assert machine.loaded == [TEXT.model, CODE.model]
    main, code = index.store.spaces.all()
    assert index.store.spaces.n_missing(main.number) == 0
    assert index.store.spaces.n_missing(code.number) == 0
    assert index.store.check() == []
    assert len(index.store.spaces.sample(main.number, 99)) == (3 if domain == "split" else 6)
    assert len(index.store.spaces.sample(code.number, 99)) == 3


def test_code_alone_loads_the_code_model_alone_where_the_pair_is_split(tmp_path, machine):
    with made(tmp_path / "index.db", machine, "split") as index:
        index.add(SOURCES, ids=SOURCE_IDS, kind="code")
        assert machine.loaded == [CODE.model]
        found = index.search("class Ferry", where={"kind": "code"})
        assert found.results[0].chunk.key == "ferry.py"
        assert (found.space, found.spaces) == (CODE.id, (CODE.id,))
        assert machine.loaded == [CODE.model]


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
def test_a_query_finds_both_kinds_in_both_spaces(index, mode):
    fill(index)
    found = index.search("the lamp blinks amber", k=6, mode=mode)
    assert sorted(keys(found)) == sorted([*PROSE_IDS, *SOURCE_IDS])
    assert keys(found)[0] == "lamp"
    assert found.spaces == (TEXT.id, CODE.id)
    assert (
        index.search("def rise(dough, warmth): ...", mode=mode).results[0].chunk.key == "dough.py"
    )
    scores = [result.score for result in found.results]
    assert scores == sorted(scores, reverse=True)


def test_a_filter_for_text_asks_the_text_model_alone(index, machine):
    fill(index)
    found = index.search("ferry", where={"kind": "text"})
    assert sorted(keys(found)) == sorted(PROSE_IDS)
    assert found.spaces == (TEXT.id,)


def test_a_filter_for_code_asks_whoever_holds_it(index, domain):
    fill(index)
    found = index.search("ferry", where={"kind": "code"})
    assert sorted(keys(found)) == sorted(SOURCE_IDS)
    assert found.spaces == ((CODE.id,) if domain == "split" else (TEXT.id, CODE.id))


def test_a_folder_goes_to_the_spaces_of_its_kinds(index, tmp_path, machine):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.md").write_text("# Lamp\n\nthe lamp blinks amber\n")
    (folder / "lamp.py").write_text("def blink(lamp):\n    lamp.amber()\n")
    report = index.add_folder(folder)
    assert report.n_added == 2
    assert not report.failed
    assert index.store.check() == []
    assert sorted(keys(index.search("lamp"))) == ["lamp.py", "notes.md"]


def test_text_goes_on_without_the_code_model(tmp_path, machine):
    machine.too_large[CODE.model] = CodeMemoryError
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.md").write_text("# Lamp\n\nthe lamp blinks amber\n")
    (folder / "lamp.py").write_text("def blink(lamp):\n    lamp.amber()\n")
    with made(tmp_path / "index.db", machine, "split") as index:
        report = index.add_folder(folder)
        assert [one.key for one in report.failed] == ["lamp.py"]
        assert "400 MB" in report.failed[0].reason
        found = index.search("lamp amber")
        assert keys(found) == ["notes.md"]
        assert found.notice.startswith("Searched in the main space alone (all-MiniLM-L6-v2): all-m")
        with pytest.raises(CodeMemoryError):
            index.add(SOURCES, kind="code")
        with pytest.raises(CodeMemoryError):
            index.search("lamp", where={"kind": "code"})


def test_code_is_found_without_the_text_model(index, machine):
    fill(index)
    index.embedders.close()
    machine.too_large[TEXT.model] = OverBudgetError
    found = index.search("class Ferry: noon", mode="semantic")
    assert found.results[0].chunk.key == "ferry.py"
    assert found.notice.startswith("Searched in the code space alone (all-mpnet-base-v2)")


def test_cutting_anew_keeps_kinds(index):
    fill(index)
    index.rechunk(20)
    assert index.store.check() == []
    assert index.store.passages("lamp.py")[0].kind == "code"


def test_another_code_model_than_the_indexs_is_refused(index, tmp_path, machine):
    fill(index)
    other = opened(index.target, machine, code_model=TEXT.model)
    with other, pytest.raises(SpaceMismatchError, match="all-mpnet-base-v2"):
        other.search("lamp")
    with opened(index.target, machine) as same:
        assert same.settings.code_model == CODE.model
        assert same.search("lamp").results


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dimensions": 768}, ["dimensions is 768", "with 384"]),
        ({"code_dimensions": 384}, ["code_dimensions is 384", "with 768"]),
    ],
)
def test_a_length_that_the_index_does_not_have_needs_a_migration(index, machine, changes, named):
    other = opened(index.target, machine, **changes)
    with other, pytest.raises(SpaceMismatchError, match="embedwell migrate") as caught:
        other.search("lamp")
    assert all(part in caught.value.problem for part in named)


def test_lengths_go_into_the_names_of_models(tmp_path):
    settings = Settings(
        cache=tmp_path,
        model="nomic-embed-text-v1.5@q8",
        code_model="jina-embeddings-v2-base-code",
        dimensions=256,
    )
    found = with_lengths(settings)
    assert Known(tmp_path).card(found.model).dimensions == 256
    assert found.model.endswith("@q8")
    assert found.code_model == settings.code_model
    same = structs.replace(settings, dimensions=768)
    assert with_lengths(same) == same


def test_lengths_that_models_cannot_have_are_told_all_at_once(tmp_path):
    settings = Settings(cache=tmp_path, code_model=CODE.model, dimensions=100, code_dimensions=200)
    with pytest.raises(SettingsError) as caught:
        with_lengths(settings)
    assert "dimensions is 100" in caught.value.problem
    assert "code_dimensions is 200" in caught.value.problem


def test_an_embedder_of_another_space_than_was_said_is_refused(tmp_path, machine, monkeypatch):
    monkeypatch.setitem(SPACES, CODE.model, replace(CODE, revision="another"))
    index = made(tmp_path / "index.db", machine, "split")
    with index, pytest.raises(SpaceMismatchError, match="all-mpnet-base-v2"):
        index.add(SOURCES, kind="code")


def test_lists_of_other_lengths_are_refused(index):
    with pytest.raises(ValueError, match="3 texts came with 3 ids, 3 metadata and 2 kinds"):
        index.add(PROSE, kind=["text", "code"])


def test_both_spaces_are_compared_with_what_they_hold(index):
    fill(index)
    for role, space, n in (("main", TEXT, None), ("code", CODE, 3)):
        found = index.compare("lamp", role=role)
        assert found.ok
        assert found.stored.space == space
        assert n in {None, found.health.n_vectors}


def test_a_run_checks_both_spaces(index, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    words = [f"thing{n} of {n * 7 % 13} and {n * 11 % 17} blue{n % 5}" for n in range(80)]
    for n, text in enumerate(words):
        (folder / f"{n:02}.{'py' if n % 2 else 'md'}").write_text(f"{text}\n")
    report = index.ingest(FolderRequest(folder), sweeping=Sweeping(canary_at=10))
    assert report.n_added == 80
    run = index.store.queue.run()
    assert run.report["passed"], run.report
    assert index.store.check() == []


def test_a_migration_of_the_main_space_is_followed_by_an_open_index(tmp_path, machine):
    with made(tmp_path / "index.db", machine, "split") as index:
        fill(index)
        other = open_store(index.target)
        code = other.spaces.code()
        wide = other.spaces.add(TEXT, "next", "wide@q32", holds=EVERYTHING)
        embedder = admitted(other, wide.number, FakeEmbedder(TEXT), (), "test")
        fill_space(other, embedder, Watch())
        other.spaces.switch(wide.number, keep=False)
        other.spaces.drop(code.number)
        other.close()
        assert sorted(keys(index.search("lamp"))) == sorted([*PROSE_IDS, *SOURCE_IDS])
        index.add(["def new(): ..."], ids=["new.py"], kind="code")
        assert index.store.check() == []
        assert index.settings.code_model == ""


def test_an_index_that_is_there_knows_its_own_models(index):
    others = Settings(model=CODE.model, code_model="jina-embeddings-v2-base-code")
    found = of_index(others, index.store.settings, given=())
    assert (found.model, found.code_model) == (TEXT.model, CODE.model)
    alone = CollectionSettings(TEXT, 60)
    assert of_index(others, alone, given=("code_model",)).code_model == ""


def test_a_code_model_that_an_index_does_not_have_is_told(tmp_path):
    alone = CollectionSettings(TEXT, 256)
    set_so = Settings(cache=tmp_path, code_model=CODE.model)
    told = unused_code_model(set_so, alone)
    assert f"{CODE.model} is not used" in told
    assert f"`embedwell migrate --code {CODE.model}`" in told
    assert "nowhere is not used" in unused_code_model(
        structs.replace(set_so, code_model="nowhere"), alone
    )
    assert unused_code_model(set_so, replace(alone, code=CodeSpace(CODE))) == ""
    assert unused_code_model(structs.replace(set_so, code_model=TEXT.model), alone) == ""
    assert unused_code_model(structs.replace(set_so, code_model=""), alone) == ""


def test_a_new_index_fits_both_models(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    long = "nomic-embed-text-v1.5"
    monkeypatch.setenv("EMBEDWELL_CODE_DOMAIN", "hybrid")
    with embedwell.open(folder, model=long, code_model=TEXT.model) as found:
        stored = found.store.settings
        assert stored.chunk_tokens == TEXT.max_tokens - 6
        assert stored.code.hybrid
        assert stored.code.made_by.endswith(f"{TEXT.model}@q8")
        assert found.settings.code_model == TEXT.model
    with embedwell.open(folder) as again:
        assert (again.settings.model, again.settings.code_model) == (long, TEXT.model)
    other = tmp_path / "other"
    other.mkdir()
    with embedwell.open(other, model=TEXT.model, code_model=TEXT.model) as same:
        assert same.store.settings.code is None


def test_a_new_index_with_a_shorter_length_is_made_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDDING_MODEL", "nomic-embed-text-v1.5")
    monkeypatch.setenv("EMBEDDING_DIMENSION", "256")
    with embedwell.open(tmp_path) as found:
        assert found.space.dimensions == 256
        assert found.store.settings.chunk_tokens == 506
        assert found.embedders.check().space == found.space
    monkeypatch.setenv("EMBEDDING_DIMENSION", "512")
    with (
        embedwell.open(tmp_path) as other,
        pytest.raises(SpaceMismatchError, match=r"dimensions is 512.*with 256"),
    ):
        other.search("lamp")
