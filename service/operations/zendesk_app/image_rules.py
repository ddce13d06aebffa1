"""Logos and icons. Zendesk's validator does not notice that one is missing, has a wrong size or cannot be read."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat  # reads a file of the operator's own, and a document type is refused

from service.operations.zendesk_app.contents import App
from service.operations.zendesk_app.location_rules import locations
from service.operations.zendesk_app.rule import Fault, Rule

LOGOS = {"logo.png": 320, "logo-small.png": 128}
# Locations that show an icon of the app (zendesk_apps_support, package.rb).
WITH_ICON = {"support": {"top_bar", "nav_bar", "system_top_bar", "ticket_editor"}, "sell": {"top_bar"}}
BANNER = "assets/banner.png"
BANNER_SIZES = {(830, 200), (1660, 400)}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
# What survives Zendesk's cleaning (Loofah's safe list), as far as a logo needs it. A `style` is rewritten there.
_SVG_ELEMENTS = {
    "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "defs", "use", "symbol", "title",
    "desc", "linearGradient", "radialGradient", "stop", "text", "tspan", "clipPath", "mask", "pattern", "marker",
}  # fmt: skip
_SVG_ATTRIBUTES = {
    "id", "class", "version", "viewBox", "preserveAspectRatio", "width", "height", "x", "y", "x1", "y1", "x2", "y2",
    "cx", "cy", "r", "rx", "ry", "fx", "fy", "dx", "dy", "d", "points", "transform", "fill", "fill-rule",
    "fill-opacity", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit",
    "stroke-dasharray", "stroke-dashoffset", "stroke-opacity", "opacity", "color", "display", "visibility",
    "clip-path", "clip-rule", "mask", "offset", "stop-color", "stop-opacity", "gradientUnits", "href", "xlink:href",
    "text-anchor", "font-family", "font-size", "font-style", "font-weight", "xml:space", "xmlns", "role",
}  # fmt: skip
_SVG_ATTRIBUTE_FAMILIES = ("xmlns:", "aria-", "data-")


@dataclass(slots=True)
class Drawing:
    """What an SVG consists of."""

    elements: list[str] = field(default_factory=list)
    sizes: list[tuple[str, str]] = field(default_factory=list)
    """Width and height of what is shown: by the root's attributes, and by the box of the root or of its symbols."""
    is_boxed: bool = False
    cleaned_away: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element."""
        local = name.rpartition(":")[2]
        if not self.elements:
            self.sizes.append((attributes.get("width", ""), attributes.get("height", "")))
        if local in {"svg", "symbol"} and "viewBox" in attributes:
            *_, width, height = ["", "none", *attributes["viewBox"].replace(",", " ").split()]
            self.sizes.append((width, height))
            self.is_boxed = True
        self.elements.append(local)
        if local not in _SVG_ELEMENTS | {"image"}:
            self.cleaned_away.append(f"<{local}>")
        self.cleaned_away += [f'{key}="…"' for key, value in attributes.items() if not _stays(key, value)]


def _stays(attribute: str, value: str) -> bool:
    known = attribute in _SVG_ATTRIBUTES or attribute.startswith(_SVG_ATTRIBUTE_FAMILIES)
    return known and bool(value.strip())


def png_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height; None: this is no whole PNG."""
    if not content.startswith(_PNG) or content[12:16] != b"IHDR" or not content.endswith(_PNG_END):
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def read_svg(content: bytes) -> Drawing:
    """Return what the SVG consists of.

    Raises:
        ValueError: it is no XML, or no drawing.
    """
    drawing = Drawing()
    parser = expat.ParserCreate()
    parser.StartElementHandler = drawing.start
    parser.CommentHandler = lambda _text: drawing.cleaned_away.append("a comment")
    parser.ProcessingInstructionHandler = lambda _target, _data: drawing.cleaned_away.append("an instruction <?…?>")
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as fault:  # LookupError: it names an encoding that does not exist
        raise ValueError(str(fault)) from fault
    if drawing.elements[0] != "svg":
        raise ValueError("its root is no <svg>")
    return drawing


def _no_doctype(*_: object) -> None:
    raise ValueError("it has a document type")


def _logos(app: App) -> Iterator[Fault]:
    for folder in {app.asset_folder(product): None for product in app.products or [""]}:
        for name, size in LOGOS.items():
            content = app.files.get(folder + name)
            if content is None:
                yield Fault(folder + name, f"is missing: add a PNG of {size}x{size}")
                continue
            found = png_size(content)
            if found != (size, size):
                is_now = "is no PNG" if found is None else f"is a PNG of {found[0]}x{found[1]}"
                yield Fault(folder + name, f"{is_now}: make it a PNG of {size}x{size}")
        if f"{folder}logo.svg" not in app.files:
            yield Fault(f"{folder}logo.svg", "is missing: add the logo as a square SVG")


def _icons(app: App) -> Iterator[Fault]:
    for place in locations(app):
        icon = f"{app.asset_folder(place.product)}icon_{place.name}.svg"
        if place.name in WITH_ICON.get(place.product, ()) and icon not in app.files:
            yield Fault(icon, f"is missing, and {place} shows it: add a square SVG of one colour, 30x30")


def _svgs(app: App) -> Iterator[tuple[str, bytes]]:
    for path, content in app.files.items():
        if path.startswith("assets/") and path.lower().endswith(".svg"):
            yield path, content


def _drawings(app: App) -> Iterator[tuple[str, Drawing]]:
    for path, content in _svgs(app):
        try:
            yield path, read_svg(content)
        except ValueError:
            continue


def _svg_readable(app: App) -> Iterator[Fault]:
    for path, content in _svgs(app):
        try:
            read_svg(content)
        except ValueError as fault:
            yield Fault(path, f"is no SVG that Zendesk shows ({fault}): save it as a plain SVG")


def _svg_square(app: App) -> Iterator[Fault]:
    for path, drawing in _drawings(app):
        if not path.rpartition("/")[2].startswith(("icon_", "logo")):
            continue
        if not drawing.is_boxed or any(width != height for width, height in drawing.sizes):
            yield Fault(path, 'must be square: give it a viewBox like "0 0 30 30", and width and height to match')


def _svg_no_bitmap(app: App) -> Iterator[Fault]:
    for path, drawing in _drawings(app):
        if "image" in drawing.elements:
            yield Fault(path, "holds a bitmap, and Zendesk puts a grey placeholder in its place: draw it with shapes")


def _svg_clean(app: App) -> Iterator[Fault]:
    for path, drawing in _drawings(app):
        if drawing.cleaned_away:
            yield Fault(
                path, f"holds {', '.join(dict.fromkeys(drawing.cleaned_away))}, which Zendesk removes: remove it"
            )


def _banner(app: App) -> Iterator[Fault]:
    if BANNER in app.files and png_size(app.files[BANNER]) not in BANNER_SIZES:
        yield Fault(BANNER, "must be a PNG of 830x200 or 1660x400")


IMAGE_RULES = (
    Rule("logos", _logos),
    Rule("icons", _icons),
    Rule("svg-readable", _svg_readable),
    Rule("svg-square", _svg_square),
    Rule("svg-no-bitmap", _svg_no_bitmap),
    Rule("svg-clean", _svg_clean, refuses=False),
    Rule("banner", _banner),
)
