import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.core.artifact import QUANTIZATIONS
from embedwell.core.errors import UnknownModelError
from embedwell.models.names import Name, parse_name

NOMIC = "nomic-embed-text-v1.5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all-minilm", Name("all-minilm")),
        ("all-minilm:latest", Name("all-minilm")),
        ("all-minilm@", Name("all-minilm")),
        ("all-minilm:q8", Name("all-minilm", quantization="q8")),
        ("all-minilm@q8", Name("all-minilm", quantization="q8")),
        ("all-minilm:q8@q8", Name("all-minilm", quantization="q8")),
        (f"{NOMIC}:256", Name(NOMIC, dimensions=256)),
        (f"{NOMIC}:256@q4", Name(NOMIC, dimensions=256, quantization="q4")),
        ("bge-m3:gguf", Name("bge-m3", gguf=True)),
        (f"{NOMIC}:gguf:128@q16", Name(NOMIC, dimensions=128, gguf=True, quantization="q16")),
        ("owner/name", Name("owner/name")),
        ("hf:owner/name", Name("hf:owner/name")),
        ("hf:owner/name@q8", Name("hf:owner/name", quantization="q8")),
        ("hf:owner/name#v1.0:64", Name("hf:owner/name", "v1.0", 64)),
        ("hf:owner/name#refs/pr/1@q32", Name("hf:owner/name", "refs/pr/1", quantization="q32")),
        ("hf:owner/name/a/b.gguf", Name("hf:owner/name/a/b.gguf")),
        ("remote:nomic-embed-text:latest", Name("remote:nomic-embed-text:latest")),
        ("remote:a@q8", Name("remote:a@q8")),
        ("file:/models/e5", Name("file:/models/e5")),
        ("file:/models/e5.gguf@q8", Name("file:/models/e5.gguf", quantization="q8")),
        ("file:a:b@c/d", Name("file:a:b@c/d")),
        (r"file:C:\models\e5.gguf", Name(r"file:C:\models\e5.gguf")),
        (r"file:C:\models\e5@q4", Name(r"file:C:\models\e5", quantization="q4")),
        (r"file:C:\m:256@q8", Name(r"file:C:\m", dimensions=256, quantization="q8")),
        ("file:~/me@home/model:latest", Name("file:~/me@home/model")),
        (f"file:e5#{'a' * 40}", Name("file:e5", "a" * 40)),
        ("file:C# notes", Name("file:C# notes")),
    ],
)
def test_a_name_and_what_it_says(text, expected):
    assert parse_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "all-minilm@q9",
        "all-minilm:best",
        "all-minilm:q4@q8",
        "all-minilm:64:128",
        "all-minilm:0",
        "all-minilm:" + "9" * 5000,
        "file:/models/e5:0",
        "all-minilm::q8",
        "all-minilm@q8@q8",
        "hf:alone",
        "hf:a/b/c.safetensors",
        "hf:../b",
        "hf:a/b@q3",
        "file:",
        "file:@q8",
    ],
)
def test_what_is_no_name_is_refused_with_a_remedy(text):
    with pytest.raises(UnknownModelError) as refusal:
        parse_name(text)
    assert refusal.value.remedy


words = st.text(string.ascii_letters + string.digits + "._-", min_size=1).filter(
    lambda word: word[0] not in "._-"
)
models = st.one_of(
    words,
    st.builds("{}/{}".format, words, words),
    st.builds("hf:{}/{}".format, words, words),
    st.builds("file:/{}/{}".format, words, words),
    st.builds("file:C:\\{}\\{}.gguf".format, words, words),
)


@given(
    model=models,
    revision=st.one_of(st.just(""), st.text("0123456789abcdef", min_size=40, max_size=40)),
    dimensions=st.integers(0, 4096),
    gguf=st.booleans(),
    level=st.sampled_from([None, *QUANTIZATIONS]),
)
def test_a_name_that_is_put_together_comes_apart_again(model, revision, dimensions, gguf, level):
    revision = revision if model.startswith(("hf:", "file:")) else ""
    asked = Name(model, revision, dimensions, gguf, level)
    text = f"{model}{asked.suffix}{f'@{level}' if level else ''}"
    assert parse_name(text) == asked


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_is_refused(text):
    try:
        assert parse_name(text).model
    except UnknownModelError:
        pass
    except AssertionError:
        assert text == "" or text[0] in ":@#"
