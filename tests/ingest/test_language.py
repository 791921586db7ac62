# ruff: noqa: RUF001 - texts in the languages themselves
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedwell.ingest.language import NAMES, language_of, shares

TEXTS = {
    "en": "The river rose in the night, and by the morning it had taken the bridge with it.",
    "fr": "La rivière est montée dans la nuit et elle a emporté le pont avec elle au matin.",
    "de": "Der Fluss ist in der Nacht gestiegen und hat am Morgen die Brücke mit sich gerissen.",
    "es": "El río creció durante la noche y por la mañana se había llevado el puente con él.",
    "it": "Il fiume è salito nella notte e al mattino ha portato via il ponte con sé.",
    "pt": "O rio subiu durante a noite e de manhã não havia mais ponte para a outra margem.",
    "nl": "De rivier is in de nacht gestegen en heeft de brug in de ochtend met zich genomen.",
    "sv": "Floden steg under natten och på morgonen hade den tagit bron med sig till havet.",
    "pl": "Rzeka podniosła się w nocy i do rana nie było już mostu, który jest na mapie.",
    "cs": "Řeka se v noci zvedla a do rána už nebyl most, který je na mapě a po kterém se jezdí.",
    "tr": "Nehir gece yükseldi ve sabah bir köprü daha yoktu, ama bu yol için çok önemli.",
    "fi": "Joki nousi yöllä ja aamulla silta oli poissa, mutta se ei ole mukana kartalla.",
    "ru": "Ночью река поднялась, и к утру она унесла мост вместе с собой.",
    "uk": "Уночі річка піднялася, і до ранку вона забрала міст із собою.",
    "ar": "ارتفع النهر في الليل وفي الصباح كان قد أخذ الجسر معه.",
    "fa": "رودخانه در شب بالا آمد و صبح پل را با خود برده بود که چیزی نماند.",
    "el": "Το ποτάμι ανέβηκε τη νύχτα και το πρωί είχε πάρει τη γέφυρα.",
    "he": "הנהר עלה בלילה ובבוקר לקח איתו את הגשר.",
    "hi": "रात में नदी चढ़ गई और सुबह तक वह पुल को अपने साथ ले गई।",
    "zh": "夜里河水上涨，到了早晨，它把桥也带走了。",
    "ja": "夜のうちに川の水があふれ、朝には橋が流されていた。",
    "ko": "밤사이 강물이 불어나 아침에는 다리가 떠내려가고 없었다.",
    "th": "แม่น้ำเอ่อล้นในตอนกลางคืนและพัดสะพานไปในตอนเช้า",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_is_told_by_its_script_and_its_commonest_words(code):
    assert language_of(TEXTS[code]) == code
    assert language_of(TEXTS[code].upper()) == code
    assert code in NAMES


def test_other_languages_technical_words_in_latin_letters_do_not_mislead():
    assert language_of("在 Python 中使用 pandas 读取 CSV 文件，然后用 numpy 计算平均值。") == "zh"
    assert language_of("Функция open() возвращает объект file, который нужно закрыть.") == "ru"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OK",
        "Dr. Meyer, Zürich",
        "for i in range(10): total += values[i] * weights[i]",
        "SELECT id, name, created_at, updated_at FROM accounts WHERE balance > 100 LIMIT 10",
        "2024-01-01 12:00:01 INFO server started port=8080 workers=4 cache=on tls=off mode=fast",
        "алло",
        "a a a a a a a a a a a a a a a",
    ],
)
def test_what_is_no_running_text_is_in_no_language(text):
    assert language_of(text) == ""


def test_shares_are_of_what_could_be_told():
    found, n_told = shares([TEXTS["fr"], TEXTS["fr"], TEXTS["en"], "x = 1", ""])
    assert n_told == 3
    assert found == {"fr": pytest.approx(2 / 3), "en": pytest.approx(1 / 3)}
    assert shares([]) == ({}, 0)


@given(st.text(max_size=300))
def test_any_text_has_a_known_language_or_none(text):
    assert language_of(text) in {"", *NAMES}
