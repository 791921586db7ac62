from __future__ import annotations

import inspect

import numpy as np
import pytest

from embedwell.core import errors
from embedwell.core.embedded import Embedded
from embedwell.core.events import Progress, Watch
from embedwell.testing import FAKE_BUILD


def test_the_tree_at_the_top_of_the_file_is_the_tree():
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.EmbedwellError)
    }
    drawn = [line for line in errors.__doc__.splitlines() if "Error" in line.split("  ")[0] + line]
    names = [word for line in drawn for word in line.split() if word in classes]
    assert sorted(names) == sorted(classes)


def test_a_message_ends_with_the_remedy():
    error = errors.MissingExtraError("Reading GGUF", "gguf")
    assert str(error).endswith('pip install "embedwell[gguf]".')
    assert error.remedy in str(error)
    assert error.problem in str(error)


def test_bad_texts_keep_the_good_vectors():
    vectors = np.ones((3, 2), np.float32)
    error = errors.BadTextsError(
        {1: "it is None"}, Embedded(vectors, np.zeros(len(vectors), np.int64), 0, FAKE_BUILD)
    )
    assert error.failures == {1: "it is None"}
    assert error.vectors is vectors


def test_progress_goes_up_and_the_wish_to_stop_comes_down():
    steps = []
    watch = Watch(steps.append)
    watch.progress("embed", 1, 2, "texts")
    assert steps == [Progress("embed", 1, 2, "texts")]
    watch.cancelled.set()
    with pytest.raises(errors.TaskCancelledError, match="embed was cancelled"):
        watch.progress("embed", 2, 2, "texts")
    assert len(steps) == 1
