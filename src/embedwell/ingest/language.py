"""The language of a passage: by its script, and among Latin scripts by its commonest words.

It is for telling what most of an index is written in, not for single short texts: a passage of
code, of names or of numbers is in no language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "ar": "Arabic",
    "bn": "Bengali",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

# The commonest words of running text in each language. Words of several languages count for each.
_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": "the of and to in is that for it as with was on be by this are or from at an which "
        "not have but you can has were if their will when no all one they there what more would",
        "fr": "de la le et les des en un une du que est pour qui dans ce il au sur pas plus par ne "
        "se sont avec cette ou être ces mais nous vous leur même aux elle comme tout fait ses son",
        "de": "der die und das den von zu mit ist des sich nicht ein eine auf für im dem auch als "
        "es werden aus er hat dass sie nach bei einer um oder wird sind am wie einem wenn noch",
        "es": "de la que el en y los se del las un por con una su para es no al lo como más o pero "
        "sus le ha me sin sobre este ya entre cuando todo esta ser son dos también fue era muy",
        "it": "di e che il la in un per non è una sono le con del si da al come più dei nel alla i "
        "della ha lo anche gli se ma su delle questo o nella essere dal quando stato tra",
        "pt": "de que e o a do da em um para é com não uma os no se na por mais as dos como mas "
        "foi ao ele das tem à seu sua ou ser quando muito há nos já está eu também só pelo são",
        "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij "
        "door uit nog naar heeft deze worden over wordt hij tot geen kan wel of meer onder zich",
        "sv": "och att det i en är som på för av med till den har de inte om ett var men så från "
        "kan eller när vi ska också man där vara detta sin efter mot under mycket",
        "da": "og at det i er en til af på for med de der som den ikke har et var om kan men fra "
        "vil ved også skal blev efter eller når være hun han sig jeg blive været mange",
        "no": "og det i er en til av på for med de som den ikke har et var om kan men fra vil ved "
        "også skal ble etter eller når være hun han seg jeg bli vært mange være noe",
        "pl": "i w na z się nie do to że jest o jak po od za co przez dla są ale tym oraz był jego "
        "może tylko być który ich które tego już przy lub czy ma które jako ze tej",
        "cs": "a v se na je že s z do o k to i jako za by pro ve jsou si ale po od nebo které jeho "
        "byl jen tak který při aby už podle také jsem což není jejich být až",
        "ro": "de și în a la cu pe este un o care din nu mai se pentru că o să sunt au prin sau fi "
        "al după dar ca fost ale acest când lui este ce cel cei",
        "tr": "ve bir bu için de da ile olarak daha çok olan gibi en ne var kadar sonra ancak "
        "değil her şey ama veya olduğu o ise göre iki içinde mi",
        "fi": "ja on ei että se oli ovat hän kun joka myös mutta niin kuin tai ole mukaan sekä sen "
        "jos vain ollut jonka voi tämä sitä nyt joka olla kanssa jälkeen",
        "hu": "a az és hogy nem is egy volt de ez meg csak már mint vagy még ki el azt ha van "
        "lehet aki majd kell között után szerint ezt minden igen ami",
        "id": "yang dan di untuk dengan dari ini itu pada adalah dalam tidak akan atau oleh juga "
        "ke dapat karena telah sebagai bahwa lebih ada saat mereka seperti bisa sudah",
        "vi": "của và là các có được cho trong không một người với đã những này khi để đến từ như "
        "về cũng trên năm ra nhiều tại phải theo đó vào nhưng sẽ bị",
    }.items()
}
_RANGES = (
    (0x0370, 0x03FF, "el"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0530, 0x058F, "hy"),
    (0x0590, 0x05FF, "he"),
    (0x0600, 0x06FF, "arabic"),
    (0x0900, 0x097F, "hi"),
    (0x0980, 0x09FF, "bn"),
    (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"),
    (0x0E00, 0x0E7F, "th"),
    (0x10A0, 0x10FF, "ka"),
    (0x3040, 0x30FF, "kana"),
    (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "ko"),
)
_READ = 1000  # characters of a passage
_WORD = re.compile(r"[^\W\d_]+")
_UKRAINIAN = re.compile("[іїєґ]")
_PERSIAN = re.compile("[پچژگ]")
# One of these characters says as much as several letters.
_DENSE = {"han": 3, "kana": 2, "ko": 2}
_LEAST_LETTERS = 20
_LEAST_WORDS = 8
# Of running text, a quarter to a half are such words; of lists and code in words, hardly any.
_LEAST_HITS = 0.12


def language_of(text: str) -> str:
    """The language that a passage is written in.

    Args:
        text: Its beginning is read.

    Returns:
        An ISO 639-1 code of `NAMES`; empty where the passage is too short, or is no running text.
    """
    text = text[:_READ].lower()
    scripts = Counter(_script(letter) for letter in text if letter.isalpha())
    latin = scripts.pop("latin", 0)
    if not scripts:
        return _by_words(text)
    script, n_letters = scripts.most_common(1)[0]
    weight = sum(count * _DENSE.get(one, 1) for one, count in scripts.items())
    if weight <= latin:
        return _by_words(text)
    if weight < _LEAST_LETTERS:
        return ""
    code = _among(script, text, n_letters, scripts["kana"])
    return code if code in NAMES else ""


def _among(script: str, text: str, n_letters: int, n_kana: int) -> str:
    """One language of a script that several are written in."""
    if script in {"han", "kana"}:
        return "ja" if n_kana * 10 > n_letters else "zh"
    if script == "cyrillic":
        return "uk" if len(_UKRAINIAN.findall(text)) * 50 > n_letters else "ru"
    if script == "arabic":
        return "fa" if len(_PERSIAN.findall(text)) * 50 > n_letters else "ar"
    return script


def shares(texts: Iterable[str]) -> tuple[dict[str, float], int]:
    """What passages are written in.

    Returns:
        The share of each language among the passages that are in one, largest first, and how many
        these are.
    """
    counts = Counter(filter(None, map(language_of, texts)))
    n_told = counts.total()
    return {code: count / n_told for code, count in counts.most_common()}, n_told


def _by_words(text: str) -> str:
    words = _WORD.findall(text)
    if len(words) < _LEAST_WORDS:
        return ""
    hits = {code: sum(word in common for word in words) for code, common in _WORDS.items()}
    best = max(hits, key=hits.__getitem__)
    n_different = len(_WORDS[best].intersection(words))
    return best if n_different >= 3 and hits[best] >= _LEAST_HITS * len(words) else ""


def _script(letter: str) -> str:
    point = ord(letter)
    if point < 0x0250 or 0x1E00 <= point <= 0x1EFF:
        return "latin"
    return next((name for start, end, name in _RANGES if start <= point <= end), "other")
