"""draw.py: what is drawn lies where the people are."""

from __future__ import annotations

import numpy as np

from spmdata.draw import contact_sheet, draw_people, person_colour
from spmdata.people import People
from spmdata.skeletons import COCO17


def test_joints_are_drawn_where_they_are_at_any_zoom() -> None:
    joints = np.zeros((1, 17, 2))
    joints[0, :2] = [[10, 20], [50, 20]]  # the nose and an eye: a bone between them
    visible = np.zeros((1, 17))
    visible[0, :2] = 2
    black = np.zeros((60, 80, 3), np.uint8)
    for zoom in (1, 3):
        picture = draw_people(black, People.of(joints, visible), COCO17, zoom=zoom)
        assert picture.shape == (60 * zoom, 80 * zoom, 3)
        drawn = np.nonzero(picture.sum(-1) > 60)
        centre = (drawn[1].mean() + 0.5) / zoom - 0.5, (drawn[0].mean() + 0.5) / zoom - 0.5
        assert np.hypot(centre[0] - 30, centre[1] - 20) < 0.6
        assert not picture[40 * zoom :].any()
    assert not draw_people(black, People.empty(17), COCO17).any()
    assert not black.any()


def test_people_have_colours_of_their_own() -> None:
    colours = [np.array(person_colour(i), float) for i in range(6)]
    assert min(np.abs(a - b).sum() for i, a in enumerate(colours) for b in colours[:i]) > 60


def test_a_sheet_holds_every_picture() -> None:
    pictures = [np.full((10, 20, 3), 10 * i, np.uint8) for i in range(5)]
    sheet = contact_sheet(pictures, 3, gap_px=2)
    assert sheet.shape == (2 * 12 + 2, 3 * 22 + 2, 3)
    for i in range(5):
        assert (sheet[2 + 12 * (i // 3) + 5, 2 + 22 * (i % 3) + 5] == 10 * i).all()
    assert contact_sheet(pictures, 9, [str(i) for i in range(5)]).shape[1] == 5 * 24 + 4
