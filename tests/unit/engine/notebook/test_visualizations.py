"""Pictures show themselves in a notebook, alone and as a grid, and are saved as they are shown."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imago_engine.notebook.visualizations import Prediction, Visualization, Visualizations
from imago_engine.objectives import TokenObjective, UnitObjective
from imago_engine.synthesis.receptive_fields.receptive_field import Box


def a_picture(unit: int = 3, size: int = 8, **changes: Any) -> Visualization:
    image = np.random.default_rng(unit).integers(0, 256, (size, size, 3), np.uint8)
    fields: dict[str, Any] = {
        "network": "resnet18.own",
        "objective": UnitObjective(layer="fc", unit=unit),
        "label": "cat, house cat",
        "seed": 1,
        "technique": "dgn-am",
        "parameters": {"steps": 10},
        "image": image,
        "activation": 12.345,
        "predictions": (Prediction("<cat>, house cat", 0.876, unit),),
        "trace": np.zeros(10, np.float32),
        "code": None,
        "crop_box": None,
        "status": "done",
    }
    return Visualization(**fields | changes)


def shown(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_picture_shows_its_pixels_as_they_are() -> None:
    picture = a_picture()
    np.testing.assert_array_equal(shown(picture._repr_png_()), picture.image)


def test_a_picture_s_caption_says_what_it_is_and_what_the_network_sees() -> None:
    html = a_picture()._repr_html_()
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", html)
    np.testing.assert_array_equal(shown(base64.b64decode(data)), a_picture().image)
    for said in ("fc/3 cat", "seed 1", "activation 12.3", "&lt;cat&gt; 88%"):
        assert said in html


def test_a_picture_that_shows_no_preference_says_so() -> None:
    picture = a_picture(status="unreachable")
    assert "unreachable" in repr(picture)
    assert "shows no preference" in picture._repr_html_()


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (UnitObjective(layer="blocks.3", unit=7), "blocks.3/7"),
        (UnitObjective(layer="blocks.3", unit=7, position=(2, 5)), "blocks.3/7@2,5"),
        (TokenObjective(layer="blocks.3", unit=7, token=9), "blocks.3/7, token 9"),
    ],
)
def test_a_picture_is_named_by_its_unit_and_place(objective: Any, name: str) -> None:
    assert a_picture(objective=objective, label=None).name == name


def test_a_picture_is_cropped_to_what_its_unit_sees() -> None:
    picture = a_picture(crop_box=Box(1, 2, 4, 7))
    np.testing.assert_array_equal(picture.crop, picture.image[2:7, 1:4])
    np.testing.assert_array_equal(a_picture().crop, a_picture().image)


def test_a_list_shows_itself_as_a_grid_in_order() -> None:
    pictures = Visualizations(a_picture(unit) for unit in range(5))
    grid = shown(pictures._repr_png_() or b"")
    assert grid.shape == (2 * 8 + 2, 3 * 8 + 2 * 2, 3)
    np.testing.assert_array_equal(grid[10:18, 10:18], pictures[4].image)
    assert (grid[:, 8:10] == 255).all()
    html = pictures._repr_html_()
    assert [html.index(f"fc/{unit}") for unit in range(5)] == sorted(html.index(f"fc/{u}") for u in range(5))


@pytest.mark.parametrize(("columns", "shape"), [(1, (48, 8, 3)), (5, (8, 48, 3)), (9, (8, 48, 3))])
def test_a_grid_has_as_many_columns_as_are_asked_for(columns: int, shape: tuple[int, ...]) -> None:
    assert Visualizations(a_picture(unit) for unit in range(5)).grid(columns).shape == shape


def test_pictures_of_unlike_sizes_fit_into_one_grid() -> None:
    grid = Visualizations([a_picture(0, 8), a_picture(1, 4)]).grid()
    assert grid.shape == (8, 18, 3)
    np.testing.assert_array_equal(grid[:4, 10:14], a_picture(1, 4).image)


def test_a_slice_is_a_smaller_grid() -> None:
    pictures = Visualizations(a_picture(unit) for unit in range(5))
    assert isinstance(pictures[1:3], Visualizations)
    assert [picture.unit for picture in pictures[1:3]] == [1, 2]


def test_no_pictures_show_nothing_and_have_no_grid() -> None:
    nothing = Visualizations([])
    assert nothing._repr_png_() is None
    assert "no pictures" in nothing._repr_html_()
    with pytest.raises(ValueError, match="no pictures"):
        nothing.grid()


def test_what_is_saved_is_what_was_shown(tmp_path: Path) -> None:
    picture, pictures = a_picture(), Visualizations([a_picture(1), a_picture(2)])
    for one, name in ((picture, "one.png"), (pictures, "grid.png")):
        path = one.save(tmp_path / name)
        np.testing.assert_array_equal(shown(path.read_bytes()), shown(one._repr_png_() or b""))
