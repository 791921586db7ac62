"""Whether a model covers the language that most of an index is written in."""

from __future__ import annotations

from dataclasses import dataclass

from embedwell.app.config.settings import Settings
from embedwell.app.models.choose import fits, machine
from embedwell.core.errors import UnknownModelError
from embedwell.ingest.language import NAMES, shares
from embedwell.models.catalogue import ModelCard
from embedwell.models.known import Known
from embedwell.stores.protocol import Store

_SAMPLE = 200  # passages, spread over the index
_LEAST_PASSAGES = 5
_MOSTLY = 0.5
# Where hardly any passage is running text, as in logs and tables, nothing is said.
_LEAST_TOLD = 0.3


@dataclass(frozen=True)
class Uncovered:
    """A language of an index that its model was not trained for.

    Attributes:
        language: ISO 639-1 code.
        share: Part of the text, 0..1, that is in languages which the model does not cover.
        model: Of the index.
        suggested: A model that covers it and fits this machine; empty where there is none.
    """

    language: str
    share: float
    model: str
    suggested: str

    @property
    def said(self) -> str:
        """What is found, as a sentence."""
        return (
            f"{self.share:.0%} of the text is in {NAMES[self.language]} or other languages that "
            f"{self.model} was not made for: search by meaning will miss much of it."
        )

    @property
    def remedy(self) -> str:
        """What to do, as a sentence."""
        if not self.suggested:
            return "Search by words (`--mode lexical`), or bring a model that covers it."
        return (
            f"{self.suggested} covers it: `embedwell migrate --to {self.suggested}`, or name it "
            "with `--model` for a new index."
        )


def uncovered(store: Store, settings: Settings) -> Uncovered | None:
    """Look at a sample of the stored text; takes some milliseconds.

    Returns:
        None where the model covers most of it, where its languages are not known, or where there
        is too little text to say.
    """
    known = Known(settings.cache)
    main = store.spaces.main()
    try:
        card = known.card(known.name_of(main.space))
    except UnknownModelError:
        return None
    if not card.languages or "multilingual" in card.languages:
        return None
    chunks = store.chunks(store.spaces.sample(main.number, _SAMPLE).tolist())
    texts = [found.chunk.text for found in chunks if found.kind == "text"]
    language, share = judge(texts, card)
    if not language:
        return None
    budget_bytes, _ = machine(settings)
    return Uncovered(language, share, card.name, suggest(known.all(), language, budget_bytes))


def judge(texts: list[str], card: ModelCard) -> tuple[str, float]:
    """The commonest language that a model does not cover, and how much of the text it does not.

    Returns:
        An empty code where that is not most of it.
    """
    found, n_told = shares(texts)
    foreign = {code: share for code, share in found.items() if code not in card.languages}
    share = sum(foreign.values())
    is_told = n_told >= max(_LEAST_PASSAGES, _LEAST_TOLD * len(texts))
    return (next(iter(foreign)), share) if is_told and share > _MOSTLY else ("", 0.0)


def suggest(cards: tuple[ModelCard, ...], language: str, budget_bytes: int) -> str:
    """The smallest model for texts that covers a language and fits; empty where there is none."""
    fit = [
        card
        for card in cards
        if (card.domain, card.head) == ("text", "embedding")
        and language in card.languages
        and fits(card, budget_bytes)
    ]
    return min(fit, key=lambda card: card.n_parameters).name if fit else ""
