from __future__ import annotations

import pytest

from embedwell.engines.registry import open_engine
from embedwell.runtime.build import build_record, cpu_features

X86 = """\
processor\t: 0
model name\t: A processor with avx512 in its name
flags\t\t: fpu sse sse2 ssse3 sse4_1 avx fma f16c avx2 avx512_vnni amx_int8 rdtscp
bugs\t\t: spectre_v1

processor\t: 1
flags\t\t: avx9
"""
ARM = """\
processor\t: 0
Features\t: fp asimd crc32 asimddp sve2 sveaes i8mm bf16 lrcpc
CPU architecture: 8
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86, "amx_int8 avx avx2 avx512_vnni f16c fma sse4_1"),
        (ARM, "asimd asimddp bf16 i8mm sve2 sveaes"),
        ("processor : 0\n", ""),
        ("", ""),
    ],
)
def test_what_a_processor_can_do_is_read_where_it_is_told(text, expected):
    assert cpu_features(text.splitlines()) == tuple(expected.split())


def test_a_record_says_what_computes_and_is_made_once(real_artifact):
    artifact = real_artifact("q8")
    engine = open_engine(artifact, 1)
    build = build_record(artifact, engine.build)
    assert (build.artifact, build.engine) == ("all-MiniLM-L6-v2@q8", "onnx")
    assert build.artifact_key == artifact.key
    assert all((build.native, build.tokenizers_version, build.cpu, build.host, build.made_at))
    assert build_record(artifact, engine.build) is build
    engine.close()
