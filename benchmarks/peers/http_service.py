"""A service as people write it today: FastAPI and uvicorn around sentence-transformers."""

from __future__ import annotations

import argparse


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    import torch
    import uvicorn
    from fastapi import Body, FastAPI
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(options.threads)
    model = SentenceTransformer(options.model, device="cpu")
    application = FastAPI()

    @application.post("/embed")
    def embed(texts: list[str] = Body()) -> list[list[float]]:  # noqa: B008 - FastAPI's form
        return model.encode(texts, show_progress_bar=False).tolist()

    uvicorn.run(
        application, host="127.0.0.1", port=options.port, log_level="warning",
        timeout_keep_alive=300,
    )  # fmt: skip


if __name__ == "__main__":
    main()
