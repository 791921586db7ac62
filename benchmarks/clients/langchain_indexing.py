"""Keep a folder indexed as people write it: LangChain's indexing API, fastembed and Chroma.

    python -m benchmarks.clients.langchain_indexing FOLDER STORE MODEL

Every file is read and hashed in each run; its record manager leaves out what did not change.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

N_AT_ONCE = 100
SUFFIXES = {".md", ".txt", ".py", ".rs", ".js", ".go", ".json", ".html", ".toml"}


def main() -> None:
    folder, store, model = (Path(word) for word in sys.argv[1:])
    from langchain_chroma import Chroma
    from langchain_classic.indexes import SQLRecordManager, index

    embeddings = _embeddings(model)
    vectors = Chroma("files", embeddings, persist_directory=str(store))
    records = SQLRecordManager("files", db_url=f"sqlite:///{store}.records.db")
    records.create_schema()
    began = time.perf_counter()
    documents = _documents(folder)
    done = index(
        documents, records, vectors, cleanup="full", source_id_key="source", batch_size=N_AT_ONCE,
        key_encoder="sha256",
    )  # fmt: skip
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    embeddings.embed_documents([document.page_content for document in documents])
    raw_s = time.perf_counter() - began
    print(json.dumps({"n": len(documents), "seconds": seconds, "raw_s": raw_s, **done}))


def _documents(folder: Path):
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=0)
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.suffix in SUFFIXES:
                text = path.read_text("utf-8")
                found.append(Document(page_content=text, metadata={"source": str(path)}))
    return splitter.split_documents(found)


def _embeddings(model: Path):
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType
    from langchain_core.embeddings import Embeddings

    TextEmbedding.add_custom_model(
        model="local/model",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="local/model"),
        dim=384,
        model_file=model.name,
    )
    loaded = TextEmbedding("local/model", specific_model_path=str(model.parent), threads=1)

    class Fast(Embeddings):
        def embed_documents(self, texts):
            return [vector.tolist() for vector in loaded.embed(texts)]

        def embed_query(self, text):
            return self.embed_documents([text])[0]

    return Fast()


if __name__ == "__main__":
    main()
