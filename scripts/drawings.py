#!/usr/bin/env python3
"""Draws ten pictures like screenshots and drawings into a folder, for measurements: text, charts and flat areas.

Usage: drawings.py FOLDER (needs Pillow). The same version of Pillow draws the same pixels.
"""

import math
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (800, 600)
WORDS = """the codec keeps what people see and leaves out what they do not while a decoder turns numbers back into
pixels row by row and level by level until edges are sharp again and every colour is near its place""".split()
PALETTE = ["#1b6ca8", "#d1495b", "#edae49", "#66a182", "#2e4057", "#8d96a3", "#7b2d8b"]


def font(size):
    return ImageFont.load_default(size)


def canvas(colour):
    picture = Image.new("RGB", SIZE, colour)
    return picture, ImageDraw.Draw(picture)


def sentence(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def article(rng):
    picture, draw = canvas("white")
    draw.text((60, 30), "On the coding of pictures", "black", font(34))
    for line in range(24):
        draw.text((60, 92 + 20 * line), sentence(rng, 13), "#202020", font(14))
    return picture


def editor(rng):
    picture, draw = canvas("#1e1e28")
    draw.rectangle((0, 0, 800, 32), "#2d2d3a")
    for tab in range(4):
        draw.text((20 + 150 * tab, 8), f"module_{tab}.rs", "#c0c0d0", font(14))
    for line in range(30):
        x = 50 + 24 * rng.randrange(4)
        draw.text((14, 42 + 18 * line), f"{line + 1:2}", "#606078", font(13))
        for _ in range(rng.randrange(1, 6)):
            word = rng.choice(WORDS)
            draw.text((x, 42 + 18 * line), word, rng.choice(["#82aaff", "#c3e88d", "#f78c6c", "#d0d0e0"]), font(13))
            x += 9 * len(word) + 8
    return picture


def bars(rng):
    picture, draw = canvas("#fafafa")
    draw.text((250, 20), "Bytes for each picture", "black", font(26))
    for step in range(11):
        y = 540 - 44 * step
        draw.line((80, y, 760, y), "#d8d8d8")
        draw.text((40, y - 8), str(100 * step), "#404040", font(13))
    for group in range(8):
        for part in range(3):
            height = rng.randrange(40, 430)
            x = 100 + 82 * group + 22 * part
            draw.rectangle((x, 540 - height, x + 18, 540), PALETTE[part])
        draw.text((104 + 82 * group, 548), f"set {group + 1}", "black", font(14))
    return picture


def lines(rng):
    picture, draw = canvas("white")
    for x in range(80, 781, 70):
        draw.line((x, 40, x, 540), "#e4e4e4")
    for y in range(40, 541, 50):
        draw.line((80, y, 780, y), "#e4e4e4")
    for number, colour in enumerate(PALETTE[:5]):
        phase, slope = rng.random() * 6, rng.uniform(100, 200)
        points = [(80 + x, 330 - slope * math.sin(x / 130 + phase) - 0.12 * x) for x in range(0, 701, 4)]
        draw.line(points, colour, 3)
        draw.line((600, 60 + 22 * number, 640, 60 + 22 * number), colour, 3)
        draw.text((650, 52 + 22 * number), f"method {number + 1}", "black", font(14))
    draw.line((80, 40, 80, 540, 780, 540), "black", 2)
    return picture


def landscape(rng):
    picture, draw = canvas("#9ad1e3")
    draw.ellipse((580, 60, 700, 180), "#ffd95a")
    for layer, colour in enumerate(["#7fb069", "#5b8c5a", "#3d6b4f"]):
        base = 330 + 80 * layer
        points = [(x, base - 60 * math.sin(x / (90 + 40 * layer) + 2 * layer)) for x in range(0, 801, 10)]
        draw.polygon([*points, (800, 600), (0, 600)], colour)
    for _ in range(14):
        x, y = rng.randrange(780), rng.randrange(430, 560)
        draw.rectangle((x + 9, y + 20, x + 15, y + 44), "#6b4226")
        draw.polygon([(x, y + 24), (x + 12, y - 20), (x + 24, y + 24)], "#1f4d36")
    return picture


def icons(rng):
    picture, draw = canvas("#f0f2f5")
    for row in range(5):
        for column in range(7):
            x, y, colour = 40 + 106 * column, 30 + 112 * row, rng.choice(PALETTE)
            draw.rounded_rectangle((x, y, x + 72, y + 72), 16, colour)
            kind = rng.randrange(4)
            if kind == 0:
                draw.ellipse((x + 18, y + 18, x + 54, y + 54), "white")
            elif kind == 1:
                draw.polygon([(x + 36, y + 14), (x + 58, y + 56), (x + 14, y + 56)], "white")
            elif kind == 2:
                draw.line((x + 18, y + 38, x + 32, y + 52, x + 56, y + 20), "white", 7)
            else:
                draw.rectangle((x + 20, y + 20, x + 52, y + 52), outline="white", width=6)
            draw.text((x + 8, y + 78), rng.choice(WORDS), "#303030", font(14))
    return picture


def table(rng):
    picture, draw = canvas("white")
    for row in range(25):
        y = 24 * row
        draw.rectangle((0, y, 800, y + 24), "#dfe8f3" if row == 0 else "#f6f8fb" if row % 2 else "white")
        for column in range(8):
            text = f"column {column + 1}" if row == 0 else f"{rng.uniform(0, 1000):.2f}"
            draw.text((12 + 100 * column, y + 4), text, "black", font(14))
            draw.line((100 * column, 0, 100 * column, 600), "#c4c4c4")
    return picture


def streets(rng):
    picture, draw = canvas("#f2efe9")
    draw.polygon([(0, 420), (300, 380), (520, 470), (800, 400), (800, 500), (500, 560), (280, 470), (0, 520)], "#a8d3e8")
    draw.rectangle((480, 60, 660, 220), "#c5e3b5")
    for _ in range(26):
        (x, y), angle = (rng.randrange(800), rng.randrange(600)), rng.choice([0.1, 0.1 + math.pi / 2, 0.8])
        ends = [(x + sign * 900 * math.cos(angle), y + sign * 900 * math.sin(angle)) for sign in (-1, 1)]
        width = rng.choice([4, 6, 10])
        draw.line(ends, "#d0c8b8", width + 2)
        draw.line(ends, "white" if width < 10 else "#f9d67a", width)
    for _ in range(22):
        draw.text((rng.randrange(700), rng.randrange(580)), rng.choice(WORDS).title() + " Street", "#505050", font(12))
    return picture


def chat(rng):
    picture, draw = canvas("#e8ecef")
    for line in range(9):
        own, words = line % 3 == 1, rng.randrange(4, 11)
        text, y = sentence(rng, words), 24 + 62 * line
        width = int(draw.textlength(text, font(15))) + 30
        left = 730 - width if own else 70
        draw.rounded_rectangle((left, y, left + width, y + 44), 20, "#bfe6c8" if own else "white")
        draw.text((left + 15, y + 12), text, "#101010", font(15))
        draw.ellipse((744, y, 788, y + 44) if own else (12, y, 56, y + 44), PALETTE[line % 7])
    return picture


def poster(rng):
    picture, draw = canvas("#fff4d6")
    for ray in range(24):
        angles = [math.pi * (2 * ray + side) / 24 for side in (0, 1)]
        draw.polygon([(400, 300), *((400 + 800 * math.cos(a), 300 + 800 * math.sin(a)) for a in angles)], "#f6c667")
    draw.ellipse((230, 130, 570, 470), "#d1495b", "#2e2e2e", 8)
    for eye in (330, 470):
        draw.ellipse((eye - 34, 220, eye + 34, 300), "white", "#2e2e2e", 5)
        draw.ellipse((eye - 12, 246, eye + 14, 284), "#2e2e2e")
    draw.arc((310, 290, 490, 420), 20, 160, "#2e2e2e", 10)
    draw.text((170, 500), "EVERY PICTURE COUNTS", "#2e2e2e", font(40), stroke_width=1)
    return picture


DRAWINGS = [article, editor, bars, lines, landscape, icons, table, streets, chat, poster]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, draw in enumerate(DRAWINGS):
        draw(random.Random(number)).save(folder / f"{draw.__name__}.png")


if __name__ == "__main__":
    main()
