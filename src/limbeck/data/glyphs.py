"""The letters A to J in the fonts that come with matplotlib, each drawn many times, turned, moved and with noise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from limbeck.data.bulk import fit
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.samples import Samples

LETTERS = "ABCDEFGHIJ"
SIDE, LARGE = 28, 84  # pixels; drawn large, then made small, so that edges are smooth
TRAIN_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmb10", "cmti10",
)  # fmt: skip
TEST_FONTS = (
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneralBolIta", "cmss10", "cmtt10",
)  # fmt: skip
DRAWN = 40  # times that each letter of each font is drawn
TURN, SHEAR, MOVE = 15.0, 0.15, 2.0  # degrees; share of the side; pixels, at most
SIZES = (0.62, 0.95)  # height of a letter, as a share of the side
NOISE = 20.0  # largest deviation of the noise, in levels of 255


def read_glyphs(options: ReadOptions) -> Source:
    """Give the letters as uint8 [5600, 1, 28, 28], white on black, or of the size that the options say.

    The 2,800 test samples are of fonts that training has not. What is drawn follows from font, letter and number alone.
    """
    train, reading = _samples("train", TRAIN_FONTS, options)
    test, _ = _samples("test", TEST_FONTS, options)
    return Source("glyphs", tuple(LETTERS), train, test, reading=reading)


def _samples(split: str, fonts: tuple[str, ...], options: ReadOptions) -> tuple[Samples, ReadOptions]:
    drawn, labels, ids = [], [], []
    for font in fonts:
        face = ImageFont.truetype(_fonts() / f"{font}.ttf", LARGE)
        for label, letter in enumerate(LETTERS):
            for number in range(DRAWN):
                ids.append(f"{split}/{font}/{letter}/{number}")
                labels.append(label)
                drawn.append(_draw(face, letter, _random(ids[-1])))
    inputs, reading = fit(np.stack(drawn), options)
    return Samples(inputs, torch.tensor(labels), tuple(ids)), reading


def _fonts() -> Path:
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def _draw(face: ImageFont.FreeTypeFont, letter: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a letter as uint8 [28, 28], white on black."""
    left, top, right, bottom = face.getbbox(letter)
    picture = Image.new("L", (LARGE, LARGE))
    scale = random.uniform(*SIZES) * LARGE / max(bottom - top, right - left)
    turn, shear = np.deg2rad(random.uniform(-TURN, TURN)), random.uniform(-SHEAR, SHEAR)
    moved = random.uniform(-MOVE, MOVE, 2) * LARGE / SIDE
    large = Image.new("L", (2 * LARGE, 2 * LARGE))
    middle = (LARGE - (left + right) / 2, LARGE - (top + bottom) / 2)
    ImageDraw.Draw(large).text(middle, letter, fill=255, font=face)
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / scale  # from picture to large
    back = back @ np.array([[1.0, shear], [0.0, 1.0]])
    offset = LARGE - back @ (np.full(2, LARGE / 2) + moved)
    picture = large.transform(
        picture.size,
        Image.Transform.AFFINE,
        (back[0, 0], back[0, 1], offset[0], back[1, 0], back[1, 1], offset[1]),
        Image.Resampling.BILINEAR,
    ).resize((SIDE, SIDE), Image.Resampling.BOX)
    noisy = np.asarray(picture) + random.normal(0, random.uniform(0, NOISE), (SIDE, SIDE))
    return np.clip(noisy, 0, 255).round().astype(np.uint8)
