"""Published tokenizers as they are opened everywhere: nothing padded, nothing cut."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from embedwell.core.errors import ConversionError, WrongBytesError

_TRIAL = ("A text, Ünïcode 日本.", "")


def open_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer that neither pads nor cuts, whatever its file says.

    Args:
        file: `tokenizer.json` in the `tokenizers` library's form.

    Raises:
        WrongBytesError: The file cannot be read, or the tokenizer in it does not work.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
        try_out(tokenizer)
    except Exception as error:  # the library raises bare Exception for every fault
        raise WrongBytesError(
            f"The tokenizer {file} cannot be read: {error}.",
            "Remove the model with `embedwell models remove` and pull it again.",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def try_out(tokenizer: Tokenizer) -> int:
    """Tokenize some texts, so that what is wrong shows now; returns the largest id.

    Raises:
        ValueError: The library fails.
    """
    try:
        encodings = tokenizer.encode_batch(list(_TRIAL))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library's panics are no `Exception`
        raise ValueError(f"it does not work: {error}") from error
    return max((id_ for encoding in encodings for id_ in encoding.ids), default=0)


def check_tokenizer(file: Path, n_words: int) -> None:
    """Refuse a tokenizer of another model than the weights.

    Added tokens do not count: some tokenizers have more of them than their model was trained with.

    Args:
        file: `tokenizer.json`.
        n_words: Rows of the table of words.

    Raises:
        WrongBytesError: The file cannot be read, or the tokenizer in it does not work.
        ConversionError: It has more tokens than there are words.
    """
    tokenizer = open_tokenizer(file)
    ids = tokenizer.get_vocab(with_added_tokens=False).values()
    largest = max((*ids, try_out(tokenizer)))
    if largest >= n_words:
        raise ConversionError(
            f"Its tokenizer has a token {largest:,}, and its weights have vectors of {n_words:,}.",
            "Give the model files that belong together.",
        )
