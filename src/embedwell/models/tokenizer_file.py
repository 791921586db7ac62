"""Published tokenizers as they are opened everywhere: nothing padded, nothing cut."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from embedwell.core.errors import WrongBytesError


def open_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer that neither pads nor cuts, whatever its file says.

    Args:
        file: `tokenizer.json` in the `tokenizers` library's form.

    Raises:
        WrongBytesError: The file cannot be read.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for every fault
        raise WrongBytesError(
            f"The tokenizer {file} cannot be read: {error}.",
            "Remove the model with `embedwell models remove` and pull it again.",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
