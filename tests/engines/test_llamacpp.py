"""llama.cpp in a process of its own: whatever becomes of that one is an error here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from gguf_artifact import artifact_of_gguf, random_artifact

from embedwell.core.device import resident_bytes
from embedwell.core.errors import EngineError, EngineMemoryError, MissingExtraError
from embedwell.core.events import Watch
from embedwell.engines import llamacpp_process
from embedwell.engines.llamacpp_child import threads_for
from embedwell.engines.protocol import TokenBatch
from embedwell.engines.registry import open_engine
from embedwell.handshake.admit import admitted
from embedwell.handshake.probes import PROBES, embed_probes
from embedwell.runtime.embedder import LocalEmbedder
from embedwell.runtime.loaded import LoadedModels
from embedwell.runtime.states import Limits
from embedwell.stores.memory.store import MemoryStore
from embedwell.stores.protocol import CollectionSettings

BATCH = TokenBatch(np.array([[1, 9, 2]]), np.ones((1, 3), np.int64))
# A child that answers as ours does, and does what a test wants when it has got a batch.
CHILD = """
import os, signal, sys, time
from embedwell.core.pipes import receive, send
from embedwell.engines.llamacpp_child import DONE, FAILED
read, write = sys.stdin.buffer, sys.stdout.buffer
receive(read)
{start}
send(write, DONE, b'{{"dimensions": 2, "system": "CPU : FMA = 1 | AVX = 0 |"}}')
while True:
    batch = receive(read)
    {then}
"""
ANSWER = "send(write, DONE, bytes(8))"


@pytest.fixture
def llamacpp():
    return pytest.importorskip(
        "embedwell.engines.llamacpp",
        reason="llama-cpp-python is not installed",
        exc_type=MissingExtraError,
    )


@pytest.fixture
def tiny(tmp_path):
    return random_artifact(tmp_path / "random")


@pytest.fixture
def gguf_of(llamacpp, real_artifact, published, tmp_path):
    """The default model's weights as GGUF of one type."""

    def make(kind):
        return artifact_of_gguf(real_artifact("q32"), published, tmp_path / kind, kind)

    return make


@pytest.fixture
def scripted(llamacpp, tiny, monkeypatch):
    """Opens an engine whose child does what it is told."""
    opened = []

    def engine(then=ANSWER, start=""):
        code = CHILD.format(then=then, start=start)
        monkeypatch.setattr(llamacpp_process, "PROGRAM", (sys.executable, "-c", code))
        opened.append(llamacpp.LlamaCppEngine(tiny, 1))
        return opened[-1]

    yield engine
    for one in opened:
        one.close()


def dies(name):
    return f"os.kill(os.getpid(), signal.{name})"


def ends(pid):
    """Whether a process ends soon."""
    for _ in range(100):
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


@pytest.mark.parametrize("name", ["SIGILL", "SIGSEGV", "SIGABRT", "SIGBUS"])
def test_a_crash_is_an_error_that_names_the_signal(scripted, name):
    with pytest.raises(EngineError, match=rf"random@q32.*shape \(1, 3\).*{name}"):
        scripted(dies(name)).run(BATCH)


def test_what_was_compiled_for_another_processor_says_how_to_compile_it(scripted):
    with pytest.raises(EngineError, match=r"SIGILL.*instructions.*pip install"):
        scripted(dies("SIGILL")).run(BATCH)


def test_a_child_that_the_system_kills_had_no_memory(scripted):
    with pytest.raises(EngineMemoryError, match=r"SIGKILL.*memory"):
        scripted(dies("SIGKILL")).run(BATCH)


def test_an_end_without_a_signal_is_told_with_what_it_said(scripted):
    with pytest.raises(EngineError, match=r"status 7; it said: bad thing"):
        scripted("sys.stderr.write('bad  thing\\n'); sys.stderr.flush(); os._exit(7)").run(BATCH)


def test_a_crash_while_loading_is_an_error(scripted):
    with pytest.raises(EngineError, match=r"random@q32.*while it loaded.*SIGILL"):
        scripted(start=dies("SIGILL"))


def test_a_file_that_does_not_load_says_what_llamacpp_says_of_it(scripted):
    says = "sys.stderr.write('invalid magic\\n'); sys.stderr.flush()"
    with pytest.raises(EngineError, match=r"random@q32.*unread; it said: invalid magic"):
        scripted(start=f"{says}; send(write, FAILED, b'unread')")


def test_a_model_that_crashes_at_its_first_text_is_not_loaded(scripted, tiny):
    scripted(dies("SIGILL"))
    models = LoadedModels(Limits(4 << 30, 1, 0, 1))
    with (
        pytest.raises(EngineError, match=r"random@q32.*does not run.*SIGILL"),
        models.using(tiny, Watch()),
    ):
        pass
    assert not models.states()


def test_a_child_that_hangs_is_killed(scripted, llamacpp, monkeypatch):
    monkeypatch.setattr(llamacpp, "_BATCH_S", 0.1)
    monkeypatch.setattr(llamacpp, "_TOKEN_S", 0)
    monkeypatch.setattr(llamacpp_process, "_LOOK_S", 0.05)
    engine = scripted("time.sleep(60)")
    with pytest.raises(EngineError, match=r"did not answer within 0 s"):
        engine.run(BATCH)


def test_an_answer_that_is_none_is_refused(scripted):
    with pytest.raises(EngineError, match="nonsense"):
        scripted("send(write, b'?')").run(BATCH)


def test_a_system_that_gave_no_memory_is_told_apart(scripted):
    with pytest.raises(EngineMemoryError, match=r"\(1, 3\)"):
        scripted("send(write, FAILED, b'Failed to allocate memory')").run(BATCH)


def test_after_a_crash_the_next_batch_has_a_new_child(scripted):
    engine = scripted(f"{dies('SIGSEGV')} if len(batch) > 16 else {ANSWER}")
    long = TokenBatch(np.ones((1, 9), np.int64), np.ones((1, 9), np.int64))
    for _ in range(4):  # good ones lie between
        with pytest.raises(EngineError, match="SIGSEGV"):
            engine.run(long)
        assert engine.run(BATCH).shape == (1, 2)


def test_what_crashes_again_and_again_is_left_alone_for_a_while(scripted):
    engine = scripted(dies("SIGSEGV"))
    for _ in range(3):
        with pytest.raises(EngineError, match="SIGSEGV"):
            engine.run(BATCH)
    with pytest.raises(EngineError, match=r"3 times in a row.*`engine` to onnx"):
        engine.run(BATCH)
    engine._rests_until = 0.0  # once the minute is over
    with pytest.raises(EngineError, match="SIGSEGV"):
        engine.run(BATCH)


def test_a_child_that_was_killed_between_two_batches_costs_none(scripted):
    engine = scripted()
    for _ in range(4):
        process = engine._process
        os.kill(process.pid, signal.SIGKILL)
        # Its threads may outlive the one that is seen to have ended.
        assert any(process.has_ended or time.sleep(0.05) for _ in range(100))
        assert engine.run(BATCH).shape == (1, 2)


def test_an_answer_of_another_size_is_refused(scripted):
    engine = scripted(f"{ANSWER} if len(batch) == 16 else send(write, DONE, bytes(7))")
    with pytest.raises(EngineError, match=r"shape \(1, 9\)"):
        engine.run(TokenBatch(np.ones((1, 9), np.int64), np.ones((1, 9), np.int64)))
    assert engine.run(BATCH).shape == (1, 2)


def test_a_child_that_ends_for_want_of_memory_is_told_apart(scripted):
    says = "sys.stderr.write('std::bad_alloc'); sys.stderr.flush()"
    with pytest.raises(EngineMemoryError, match=r"SIGABRT; it said: std::bad_alloc"):
        scripted(f"{says}; {dies('SIGABRT')}").run(BATCH)


def test_an_interrupted_batch_ends_its_child(scripted, monkeypatch):
    engine = scripted()
    child = engine._process.pid

    def interrupted(pipe):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(llamacpp_process, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine.run(BATCH)
    assert ends(child)
    assert engine.run(BATCH).shape == (1, 2)


def test_a_forked_process_is_told_to_load_it_itself(scripted, monkeypatch):
    engine, own = scripted(), os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: own + 1)
        with pytest.raises(EngineError, match="forked"):
            engine.run(BATCH)
    assert engine.run(BATCH).shape == (1, 2)


def test_a_pooling_that_nobody_knows_is_refused(llamacpp, tiny):
    unknown = replace(tiny, space=replace(tiny.space, pooling="unknown"))
    with pytest.raises(EngineError, match="random@q32"):
        llamacpp.open_engine(unknown, 1)


def test_two_compilations_are_two_builds(llamacpp, tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib" / "libggml-cpu.so"
    monkeypatch.setattr(llamacpp, "_FOLDER", tmp_path)
    found = []
    for content in (b"with AVX2", b"without"):
        library.write_bytes(content)
        llamacpp.native_build.cache_clear()
        llamacpp._native.cache_clear()
        found.append(llamacpp._native("CPU : SSE3 = 1 | AVX = 0 | FMA = 1 | "))
    llamacpp.native_build.cache_clear()
    llamacpp._native.cache_clear()
    assert found[0] != found[1]
    assert all(native.endswith(" SSE3 FMA") for native in found)


@pytest.mark.parametrize(
    ("told", "asked", "given"),
    [("CPU : OPENMP = 1 |", 4, 4), ("CPU : AVX = 1 |", 4, 2), ("", 2, 1), ("", 1, 1)],
)
def test_threads_that_would_spin_are_half_as_many(told, asked, given):
    assert threads_for(told, asked) == given


def test_the_terminals_interrupt_does_not_reach_the_child(llamacpp, tiny):
    engine = open_engine(tiny, 1)
    child = engine._process.pid
    assert os.getpgid(child) != os.getpgid(0)
    os.kill(child, 0)
    engine.close()
    assert ends(child)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_ends_with_its_parent(llamacpp, tiny, how):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from embedwell.engines.llamacpp_process import Process, Start\n"
        f"process = Process(Start({str(tiny.folder / 'model.gguf')!r}, 'mean', 32, 1))\n"
        "print(process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(how)
    assert ends(child)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_where_memory_runs_out_the_child_goes_first(llamacpp, tiny):
    engine = open_engine(tiny, 1)
    score = Path(f"/proc/{engine._process.pid}/oom_score_adj").read_text()
    engine.close()
    assert int(score) == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_the_child_counts(llamacpp, tiny):
    before = resident_bytes()
    models = LoadedModels(Limits(4 << 30, 1, 0, 1))
    with models.using(tiny, Watch()) as embedder:
        child = embedder._engine._engine._process.pid
        loaded = resident_bytes()
        assert loaded - before > psutil.Process(child).memory_info().rss // 2 > 8 << 20
    models.close()
    assert ends(child)
    assert resident_bytes() < loaded - (8 << 20)


def test_a_token_that_the_model_lacks_fails_and_the_next_batch_runs(llamacpp, tiny):
    engine = open_engine(tiny, 1)
    child = engine._process.pid
    with pytest.raises(EngineError, match=r"random@q32.*\(1, 2\).*these tokens"):
        engine.run(TokenBatch(np.full((1, 2), 1 << 30), np.ones((1, 2), np.int64)))
    assert np.isfinite(engine.run(BATCH)).all()
    assert engine._process.pid == child
    engine.close()


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_llamacpp_and_our_own_network_read_each_others_stores(gguf_of, real_artifact, kind):
    both = [LocalEmbedder(one, open_engine(one, 1)) for one in (real_artifact("q8"), gguf_of(kind))]
    for writer, reader in (both, reversed(both)):
        store = MemoryStore(CollectionSettings(writer.space, 200))
        for one in (writer, reader):
            admitted(store, 1, one, (), "a.db").embed(["a text"], "document", Watch())
        assert len(store.spaces.admissions(1)) == 2
    for one in both:
        one.close()


@pytest.mark.parametrize(("kind", "least"), [("F32", 0.9999), ("Q8_0", 0.999), ("Q4_0", 0.88)])
def test_llamacpp_gives_the_vectors_of_our_own_network(gguf_of, real_artifact, kind, least):
    artifact, asked = real_artifact("q32"), gguf_of(kind)
    embed = partial(embed_probes, watch=Watch())
    (_, expected), (build, found) = (
        embed(LocalEmbedder(one, open_engine(one, 1))) for one in (artifact, asked)
    )
    natural = [not probe.is_odd for probe in PROBES]
    assert np.einsum("nd,nd->n", expected, found)[natural].min() >= least
    assert build.engine == "llamacpp"
