"""Two BERT-base networks with random weights in sentence-transformers: their memory, in JSON.

What the pair of a text and a code model takes there: the networks have the published pair's
dimensions and layers; BERT stands for both, since the library lacks one of the two architectures.

Arguments: a folder, the file of a tokenizer, a JSON file of texts, and how many models; none of
them writes the weights into the folder instead.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def make(folder: str, tokenizer_file: str) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    BertModel(BertConfig(vocab_size=30528)).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=tokenizer_file, pad_token="[PAD]", model_max_length=512
    ).save_pretrained(folder)


def run(folder: str, texts: list[str], n_models: int) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    models = []
    for _ in range(n_models):  # a folder without modules of its own gets the mean
        models.append(SentenceTransformer(folder, device="cpu"))
        models[-1].encode(texts, batch_size=8)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(json.dumps({"rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)}))


if sys.argv[4] == "0":
    make(sys.argv[1], sys.argv[2])
else:
    run(sys.argv[1], json.loads(Path(sys.argv[3]).read_text()), int(sys.argv[4]))
