from benchmarks.compilations_section import llama_cpp


def drift(writer, reader, mean, *, admitted):
    return {"kind": "Q8_0", "writer": writer, "reader": reader, "mean": mean, "worst": 2 * mean,
            "scatter": mean, "odd_worst": mean, "admitted": admitted}  # fmt: skip


def test_the_section_shows_each_pair_once_and_what_is_refused():
    row = {"name": "llama.cpp avx2", "kind": "Q8_0", "tokens_per_cpu_s": 1833, "query_ms": 2.5}
    text = llama_cpp(
        {
            "speed": [row | {"rss_mb": 109.8}, row | {"name": "embedwell q8"}],
            "drift": [
                drift("a", "b", 0.0001, admitted=True),
                drift("b", "a", 0.0001, admitted=True),
                drift("a", "c", 0.04, admitted=False),
            ],
            "missing": ["llama-cpp-sse42: it does not compile"],
        }
    )
    assert "| llama.cpp avx2 | Q8_0 | 1,833 | 2.5 | 110 |" in text
    assert "| embedwell q8 | Q8_0 | 1,833 | 2.5 | - |" in text
    assert "| Q8_0 | a | b | 0.000100 / 0.000200 |" in text
    assert "| b | a |" not in text
    assert "**no**" in text
    assert "Left out: llama-cpp-sse42: it does not compile." in text
