from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save
from tiny_bert import batch_of, make, tiny_source

from embedwell.core.errors import WrongBytesError
from embedwell.core.vectors import normalized
from embedwell.engines.registry import open_engine
from embedwell.models import key
from embedwell.models.catalogue import PinnedFile, card, catalogue
from embedwell.models.recipe import Recipe, SiteRecipe, read_recipe


def site_of(n_in: int, n_out: int) -> SiteRecipe:
    return SiteRecipe(
        smooth=np.full(n_in, 0.5, np.float32),
        copies=np.arange(n_in),
        step=np.array([0.25], np.float32),
        zero=np.array([128], np.uint8),
        scales=np.full(n_out, 0.125, np.float32),
        gains=np.ones(n_out, np.float32),
        bias=np.arange(n_out).astype(np.float32),
    )


def test_a_recipe_survives_its_file(tmp_path):
    recipe = Recipe("a" * 64, {"0.ffn_in": site_of(3, 4), "1.ffn_out": site_of(4, 3)})
    path = tmp_path / "recipe"
    path.write_bytes(recipe.to_bytes())
    read = read_recipe(path)
    assert read.weights_sha256 == recipe.weights_sha256
    assert read.to_bytes() == recipe.to_bytes()
    for name, site in recipe.sites.items():
        for field, array in vars(site).items():
            found = getattr(read.sites[name], field)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


def test_a_rounded_site_is_the_dense_part_where_every_value_can_be_kept():
    weight = np.array([[1, -2, 3], [0, 4, -1]], np.float32)
    x = np.array([[0.5, 1, -1.5], [2, 0, 1]], np.float32)
    site = replace(site_of(3, 2), scales=np.full(2, 0.25, np.float32))
    np.testing.assert_array_equal(site.apply(weight, x), x @ weight.T + site.bias)


def test_copies_of_a_channel_share_its_weight():
    site = replace(site_of(3, 2), copies=np.array([0, 1, 1, 2]))
    weight = np.array([[1, -2, 3], [0, 4, -1]], np.float32)
    np.testing.assert_array_equal(site.smoothed_weight(weight)[0], [2, -2, -2, 6])
    x = np.array([[0.5, 1, -1.5]], np.float32)
    np.testing.assert_array_equal(site.apply(weight, x), x @ weight.T + site.bias)


def test_inputs_beyond_the_range_are_cut_to_it():
    site = site_of(2, 2)
    np.testing.assert_array_equal(
        site.dequantized(np.array([[1e6, -1e6]], np.float32)), [[127 * 0.25, -128 * 0.25]]
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing of the kind", "not a recipe"),
        (save({"0.ffn_in.bias": np.ones(2)}), "version ''"),
        (save({"0.ffn_in.bias": np.ones(2)}, {"recipe": "0 abc"}), "version '0'"),
        (save({"0.ffn_in.bias": np.ones(2)}, {"recipe": "2 abc"}), "no array"),
    ],
)
def test_what_is_not_a_recipe_is_refused(tmp_path, content, reason):
    path = tmp_path / "recipe"
    path.write_bytes(content)
    with pytest.raises(WrongBytesError, match=reason):
        read_recipe(path)


@pytest.mark.parametrize("wrong", ["weights", "sites"])
def test_a_recipe_of_another_model_is_refused(tmp_path, monkeypatch, wrong):
    source = tiny_source(tmp_path / "source")
    weights = source.card.files["model.safetensors"].sha256
    recipe = Recipe("other" if wrong == "weights" else weights, {"0.ffn_in": site_of(3, 4)})
    (tmp_path / f"{weights}.safetensors").write_bytes(recipe.to_bytes())
    monkeypatch.setattr(key, "_RECIPES", tmp_path)
    with pytest.raises(WrongBytesError, match="other weights" if wrong == "weights" else "0.att"):
        make(source, "q8", tmp_path / "artifact")


def test_every_recipe_of_the_package_is_for_a_model_of_the_catalogue():
    hashes = {pin.sha256 for row in catalogue().values() for pin in row.files.values()}
    recipes = sorted(key._RECIPES.glob("*.safetensors"))
    assert card("all-MiniLM-L6-v2").files["model.safetensors"].sha256 in {
        path.stem for path in recipes
    }
    for path in recipes:
        assert read_recipe(path).weights_sha256 == path.stem
        assert path.stem in hashes
        assert path.stat().st_size < 300_000


def test_weights_of_a_hash_that_is_not_known_yet_have_no_recipe(tmp_path):
    source = tiny_source(tmp_path / "source")
    (tmp_path / ".safetensors").write_bytes(b"")
    files = dict.fromkeys(source.card.files, PinnedFile("", 0))
    unknown = replace(source, card=replace(source.card, files=files), recipes=tmp_path)
    assert key.recipe_place(unknown) is None


# "[CLS] the woman is reading [SEP]" and others, as the published tokenizer gives them.
TEXTS = (
    [101, 1996, 2450, 2003, 3752, 102],
    [101, 2129, 2079, 1045, 4066, 1037, 2862, 1997, 4297, 7201, 3258, 12086, 1029, 102],
    [101, 3191, 2121, 10250, 4102, 1024, 2709, 2193, 1997, 27507, 2517, 1012, 102],
    [101, 1037, 2158, 2652, 1037, 2858, 102],
    [101, 3712, 9092, 2638, 3653, 11636, 102],
)


def test_the_real_model_agrees_with_q32_alone_and_in_company(real_artifact):
    vectors = {}
    for level in ("q32", "q16", "q8", "q4"):
        engine = open_engine(real_artifact(level), 1)
        alone = np.concatenate([engine.run(batch_of([text])) for text in TEXTS])
        together = engine.run(batch_of(list(TEXTS)))
        vectors[level] = normalized(together)
        assert (normalized(alone) * vectors[level]).sum(axis=1).min() >= 0.99999
        engine.close()
    cosines = {level: (vectors[level] * vectors["q32"]).sum(axis=1) for level in vectors}
    assert cosines["q16"].min() >= 0.9999
    assert cosines["q8"].mean() >= 0.998
    assert cosines["q8"].min() >= 0.99
    assert cosines["q4"].min() >= 0.9
