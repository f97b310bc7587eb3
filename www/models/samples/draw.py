#!/usr/bin/env python3
"""Draws the pictures that the page offers to try with the CIFAR-10 slab.

They are drawings of ours, so that no data set's pictures are shipped:

    python3 draw.py    # writes N-CLASS.png beside itself; needs Pillow
"""
import os

from PIL import Image, ImageDraw

UNITS = 96  # across, in which the drawings are given
SIDE = 384  # of the pictures, in pixels: sharp on the page
SCALE = 8  # pixels for a unit while drawing, then reduced


def scene(top, bottom, ground=None, horizon=70):
    """A sky that changes from top to bottom, and perhaps ground below a horizon."""
    img = Image.new("RGB", (UNITS * SCALE, UNITS * SCALE))
    d = ImageDraw.Draw(img)
    for y in range(UNITS * SCALE):
        t = y / (UNITS * SCALE)
        d.line([(0, y), (UNITS * SCALE, y)], fill=tuple(round(a + (b - a) * t) for a, b in zip(top, bottom)))
    if ground:
        d.rectangle([0, horizon * SCALE, UNITS * SCALE, UNITS * SCALE], fill=ground)
    return img, Pen(d)


class Pen:
    def __init__(self, draw):
        self.draw = draw

    def poly(self, fill, *points):
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def oval(self, fill, x, y, rx, ry):
        self.draw.ellipse([(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE], fill=fill)

    def box(self, fill, x0, y0, x1, y1):
        self.draw.rectangle([x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE], fill=fill)

    def line(self, fill, width, *points):
        self.draw.line([(x * SCALE, y * SCALE) for x, y in points], fill=fill, width=round(width * SCALE), joint="curve")


def airplane():
    img, p = scene((96, 150, 214), (196, 220, 240))
    p.poly((150, 156, 166), (40, 50), (58, 50), (34, 76), (26, 76))
    p.poly((232, 236, 240), (8, 47), (16, 42), (74, 40), (90, 46), (74, 53), (16, 53))
    p.poly((214, 60, 56), (10, 46), (4, 26), (13, 26), (24, 42))
    p.poly((176, 182, 192), (42, 42), (56, 42), (48, 24), (42, 24))
    for x in range(30, 72, 6):
        p.box((70, 90, 120), x, 44, x + 2, 46)
    return img


def automobile():
    img, p = scene((176, 196, 214), (214, 220, 222), (112, 112, 114), 64)
    p.poly((196, 26, 30), (6, 68), (6, 54), (22, 50), (34, 36), (64, 36), (76, 50), (90, 54), (90, 68))
    p.poly((60, 78, 96), (27, 50), (37, 39), (48, 39), (48, 50))
    p.poly((60, 78, 96), (51, 50), (51, 39), (62, 39), (71, 50))
    p.oval((20, 20, 22), 24, 69, 10, 10), p.oval((170, 174, 178), 24, 69, 5, 5)
    p.oval((20, 20, 22), 73, 69, 10, 10), p.oval((170, 174, 178), 73, 69, 5, 5)
    p.box((250, 240, 190), 86, 56, 90, 60)
    return img


def bird():
    img, p = scene((150, 176, 120), (110, 140, 84))
    p.line((92, 66, 44), 5, (0, 80), (96, 70))
    p.poly((88, 62, 40), (26, 58), (6, 82), (16, 84), (38, 66))
    p.oval((150, 92, 50), 48, 52, 24, 17)
    p.oval((214, 140, 84), 54, 58, 17, 12)
    p.oval((140, 84, 46), 68, 32, 12, 12)
    p.poly((60, 46, 34), (79, 30), (92, 35), (79, 37))
    p.oval((12, 12, 12), 71, 30, 2.4, 2.4)
    p.poly((100, 62, 36), (30, 48), (56, 44), (50, 64), (28, 62))
    p.line((60, 44, 30), 2, (46, 68), (45, 77)), p.line((60, 44, 30), 2, (55, 68), (55, 76))
    return img


def cat():
    img, p = scene((190, 176, 158), (160, 142, 122))
    p.oval((96, 88, 82), 48, 84, 34, 30)
    p.poly((104, 96, 90), (20, 40), (18, 8), (42, 24)), p.poly((104, 96, 90), (76, 40), (78, 8), (54, 24))
    p.poly((214, 160, 150), (24, 32), (23, 16), (36, 25)), p.poly((214, 160, 150), (72, 32), (73, 16), (60, 25))
    p.oval((112, 104, 98), 48, 46, 31, 28)
    for x in (38, 48, 58):
        p.line((60, 54, 50), 3, (x, 19), (x, 30))
    p.oval((198, 206, 96), 35, 44, 7, 6), p.oval((198, 206, 96), 61, 44, 7, 6)
    p.oval((10, 10, 10), 35, 44, 2.2, 6), p.oval((10, 10, 10), 61, 44, 2.2, 6)
    p.oval((220, 214, 208), 48, 60, 13, 9)
    p.poly((196, 110, 110), (44, 54), (52, 54), (48, 59))
    p.line((60, 50, 50), 1.4, (48, 59), (48, 64))
    for dy in (-2, 2):
        p.line((236, 232, 228), 0.9, (40, 60), (14, 60 + 3 * dy)), p.line((236, 232, 228), 0.9, (56, 60), (82, 60 + 3 * dy))
    return img


def frog():
    img, p = scene((96, 84, 60), (70, 60, 42))
    p.oval((86, 128, 44), 50, 58, 34, 22)
    p.oval((104, 148, 54), 30, 46, 22, 17)
    p.oval((120, 164, 66), 24, 31, 8, 8), p.oval((120, 164, 66), 42, 31, 8, 8)
    p.oval((16, 16, 10), 23, 31, 4, 4), p.oval((16, 16, 10), 43, 31, 4, 4)
    p.line((52, 78, 26), 1.6, (12, 51), (30, 56), (48, 51))
    p.poly((74, 112, 38), (62, 60), (90, 52), (84, 84), (60, 84)), p.poly((74, 112, 38), (24, 60), (36, 62), (30, 84), (14, 84))
    for x, y in ((56, 46), (66, 52), (60, 62), (74, 60), (50, 56)):
        p.oval((52, 80, 28), x, y, 3, 2.4)
    return img


def ship():
    img, p = scene((150, 186, 222), (206, 222, 236), (44, 84, 124), 64)
    p.poly((36, 40, 48), (6, 52), (90, 52), (80, 72), (18, 72))
    p.box((170, 44, 40), 18, 68, 80, 72)
    p.box((240, 240, 238), 54, 34, 78, 52), p.box((224, 226, 226), 58, 24, 72, 34)
    for x in range(57, 76, 5):
        p.box((60, 80, 100), x, 38, x + 3, 41)
    p.box((200, 60, 44), 64, 14, 70, 24)
    for i, c in enumerate(((190, 90, 50), (70, 110, 150), (200, 160, 70), (90, 130, 90))):
        p.box(c, 14 + 9 * i, 42, 22 + 9 * i, 52)
    p.line((90, 90, 96), 1.2, (28, 42), (28, 20))
    p.poly((60, 102, 142), (0, 74), (96, 70), (96, 96), (0, 96))
    return img


def truck():
    img, p = scene((168, 196, 222), (220, 226, 230), (104, 104, 104), 72)
    p.box((236, 236, 232), 4, 22, 62, 68)
    p.line((180, 182, 182), 1, (33, 22), (33, 68))
    p.poly((40, 80, 160), (64, 68), (64, 34), (80, 34), (90, 50), (92, 68))
    p.poly((150, 186, 210), (69, 50), (69, 38), (79, 38), (86, 50))
    p.box((50, 52, 56), 4, 68, 92, 73)
    for x in (16, 30, 78):
        p.oval((18, 18, 20), x, 74, 8, 8), p.oval((150, 152, 156), x, 74, 3.6, 3.6)
    return img


def horse():
    img, p = scene((170, 200, 226), (206, 216, 206), (108, 142, 66), 66)
    brown, dark = (112, 66, 36), (48, 30, 20)
    p.line(dark, 5, (22, 42), (12, 50), (11, 66))
    p.oval(brown, 44, 46, 24, 13)
    for x0, x1 in ((26, 24), (33, 34), (56, 56), (63, 66)):
        p.line(brown, 5, (x0, 50), (x1, 82))
    p.poly(brown, (54, 44), (68, 48), (80, 24), (70, 16))
    p.poly(brown, (69, 16), (80, 16), (93, 31), (87, 37), (74, 28))
    p.poly(brown, (72, 17), (75, 8), (79, 17))
    p.line(dark, 5, (70, 15), (58, 36))
    p.oval((10, 10, 10), 80, 22, 1.4, 1.4)
    return img


def deer():
    img, p = scene((120, 140, 96), (150, 150, 100), (120, 124, 66), 64)
    tan, dark = (160, 112, 66), (84, 60, 40)
    p.oval(tan, 42, 50, 21, 11)
    for x0, x1 in ((26, 25), (32, 33), (54, 54), (60, 62)):
        p.line(tan, 3.4, (x0, 54), (x1, 84))
    p.poly(tan, (52, 48), (63, 52), (72, 32), (64, 28))
    p.poly(tan, (62, 26), (74, 24), (86, 35), (81, 39), (66, 35))
    p.poly(tan, (62, 28), (54, 22), (66, 24))
    p.line(dark, 2, (66, 26), (60, 12), (52, 6)), p.line(dark, 2, (61, 14), (68, 6))
    p.line(dark, 2, (71, 25), (76, 11), (84, 5)), p.line(dark, 2, (75, 13), (70, 5))
    p.oval((236, 230, 216), 21, 50, 4, 6)
    p.oval((10, 10, 10), 75, 30, 1.4, 1.4)
    return img


def dog():
    img, p = scene((206, 200, 190), (176, 164, 148))
    p.oval((196, 150, 96), 48, 92, 32, 30)
    p.oval((206, 160, 104), 48, 44, 27, 28)
    p.poly((120, 78, 44), (26, 22), (12, 30), (12, 60), (24, 62), (30, 36)), p.poly((120, 78, 44), (70, 22), (84, 30), (84, 60), (72, 62), (66, 36))
    p.oval((236, 214, 180), 48, 58, 17, 16)
    p.oval((24, 18, 16), 37, 40, 4, 4.4), p.oval((24, 18, 16), 59, 40, 4, 4.4)
    p.oval((20, 16, 16), 48, 52, 7, 5)
    p.line((60, 40, 34), 1.6, (48, 56), (48, 64)), p.line((60, 40, 34), 1.6, (38, 65), (48, 64), (58, 65))
    p.oval((220, 100, 110), 48, 70, 5, 6)
    return img


CLASSES = [airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck]

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    for i, draw in enumerate(CLASSES):
        img = draw().resize((SIDE, SIDE), Image.LANCZOS)
        img.quantize(256, dither=Image.Dither.NONE).save(os.path.join(folder, f"{i}-{draw.__name__}.png"), optimize=True)
