"""Draw the Zendesk app's images from the shapes below; with --check only say whether they are up to date.

The mark is two switches, one on (with the bolt of a trigger) and one off: job specs. Everything is computed here, so
that the PNGs and the SVG show the same drawing and no graphics program is needed.
"""

import argparse
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "manifest" / "assets"
# The shapes below are drawn on a square of this side.
SIDE = 320

# Dark enough for white on it, light enough to stand out from a dark page; not one of Zendesk's own colours.
TILE = (80, 80, 200)
ON = (255, 255, 255)
OFF = (163, 163, 234)

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with round corners; a switch and its knob are two of them."""

    left: float
    top: float
    width: float
    height: float
    radius: float
    colour: Colour

    def distance(self, x: float, y: float) -> float:
        """Return how far outside its edge a point is; negative: inside."""
        across = abs(x - self.left - self.width / 2) - self.width / 2 + self.radius
        down = abs(y - self.top - self.height / 2) - self.height / 2 + self.radius
        return hypot(max(across, 0), max(down, 0)) + min(max(across, down), 0) - self.radius

    def svg(self) -> str:
        return (
            f'<rect x="{self.left:g}" y="{self.top:g}" width="{self.width:g}" height="{self.height:g}" '
            f'rx="{self.radius:g}" fill="{_hex(self.colour)}"/>'
        )


@dataclass(frozen=True, slots=True)
class Outline:
    """A polygon."""

    points: tuple[Point, ...]
    colour: Colour

    def distance(self, x: float, y: float) -> float:
        """Return how far outside its edge a point is; negative: inside."""
        inside = False
        nearest = float(SIDE)
        for (ax, ay), (bx, by) in pairwise((*self.points, self.points[0])):
            along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
            along = min(max(along, 0), 1)
            nearest = min(nearest, hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
            if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                inside = not inside
        return -nearest if inside else nearest

    def svg(self) -> str:
        path = " ".join(f"{x:g} {y:g}" for x, y in self.points)
        return f'<path fill="{_hex(self.colour)}" d="M{path}z"/>'


Shape = Box | Outline


def mark(corner: float, *, bolt: bool) -> tuple[Shape, ...]:
    """Return the shapes, lowest first; `corner`: the tile's radius."""
    tile = Box(0, 0, SIDE, SIDE, corner, TILE)
    if not bolt:
        # Fewer and larger parts, for the sizes at which the bolt would be a smudge.
        return (tile, *_switch(40, 48, 240, 100, ON, on=True), *_switch(40, 172, 240, 100, OFF, on=False))
    return (tile, *_switch(46, 58, 228, 92, ON, on=True), _bolt(108, 104), *_switch(46, 170, 228, 92, OFF, on=False))


def _switch(left: float, top: float, width: float, height: float, colour: Colour, *, on: bool) -> tuple[Shape, ...]:
    knob = height * 0.71
    edge = (height - knob) / 2
    knob_left = left + width - edge - knob if on else left + edge
    return (
        Box(left, top, width, height, height / 2, colour),
        Box(round(knob_left, 2), round(top + edge, 2), round(knob, 2), round(knob, 2), round(knob / 2, 2), TILE),
    )


def _bolt(x: float, y: float) -> Outline:
    corners = ((8, -34), (-26, 6), (-4, 6), (-8, 34), (26, -6), (4, -6))
    return Outline(tuple((x + across, y + down) for across, down in corners), TILE)


def svg(shapes: tuple[Shape, ...]) -> bytes:
    """Return the drawing as SVG."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}">'
    return f"{opening}{''.join(shape.svg() for shape in shapes)}</svg>\n".encode()


def rows(shapes: tuple[Shape, ...], size: int) -> bytes:
    """Return the drawing as the pixel rows of a PNG: RGBA, each row after a zero that says "no filter"."""
    return b"".join(row(shapes, size, y) for y in range(size))


def row(shapes: tuple[Shape, ...], size: int, y: int) -> bytes:
    """Return one pixel row, counted from the top."""
    return b"\0" + bytes(_values(shapes, size, y))


def _values(shapes: tuple[Shape, ...], size: int, y: int) -> Iterator[int]:
    scale = SIDE / size
    for x in range(size):
        red = green = blue = alpha = 0.0
        for shape in shapes:
            # How much of the pixel the shape covers, as its distance from the pixel's middle tells.
            covered = min(max(0.5 - shape.distance((x + 0.5) * scale, (y + 0.5) * scale) / scale, 0), 1)
            red, green, blue = (
                old + (new - old) * covered if alpha else float(new)
                for old, new in zip((red, green, blue), shape.colour, strict=True)
            )
            alpha = max(alpha, covered)
        yield from (round(red), round(green), round(blue), round(alpha * 255)) if alpha else (0, 0, 0, 0)


def png(pixel_rows: bytes, size: int) -> bytes:
    """Return the PNG of pixel rows."""
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixel_rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def pixels_of(content: bytes) -> bytes:
    """Return the pixel rows of a PNG that `png` made; what zlib packs them into differs from version to version."""
    start = content.index(b"IDAT") + 4
    return zlib.decompress(content[start : start + int.from_bytes(content[start - 8 : start - 4])])


def _hex(colour: Colour) -> str:
    return "#" + bytes(colour).hex()


# Zendesk rounds the corners of the large logo itself (developer.zendesk.com, create_assets, 2026-11).
LARGE = mark(0, bolt=True)
SMALL = mark(64, bolt=False)
DRAWING = mark(64, bolt=True)


def main() -> int:
    """Exit 1 when --check finds an image that is not as the shapes say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    same: Callable[[bytes], bytes]
    for name, content, same in (
        ("logo.svg", svg(DRAWING), bytes),
        ("logo.png", png(rows(LARGE, 320), 320), pixels_of),
        ("logo-small.png", png(rows(SMALL, 128), 128), pixels_of),
    ):
        target = ASSETS / name
        if target.exists() and same(target.read_bytes()) == same(content):
            continue
        stale.append(name)
        if not check:
            target.write_bytes(content)
    for name in stale:
        print(f"{name} {'is not as tools/draw_app_images.py draws it' if check else 'drawn'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
