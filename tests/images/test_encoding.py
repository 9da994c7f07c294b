"""Stored pictures say where they are from, in words that other programs read, and nothing else."""

from __future__ import annotations

import io
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from mirsb_build.images.encoding import SYNTHETIC, XMP, encode, write_xmp
from mirsb_build.records import ImageSource
from tests.factories import image_spec, noise, png

NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rights": "http://ns.adobe.com/xap/1.0/rights/",
    "iptc": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


def source(**changes: str) -> ImageSource:
    values = {"title": "Red apple", "file": "1F34E.svg", "sha256": "0" * 64, "licence": "CC-BY-SA-4.0"}
    values |= {"author": "Ada", "url": "https://example.org/apple"}
    return ImageSource(**(values | changes))


def told(data: bytes) -> Xml.Element:
    """The XMP of a file, as a program reads it that knows PNG and XML."""
    with PillowImage.open(io.BytesIO(data)) as picture:
        assert set(picture.info) == {XMP, "xmp"} or set(picture.info) == {XMP}
        return Xml.fromstring(picture.info[XMP])


def all_of(packet: Xml.Element, name: str) -> list[str]:
    """The values of a property, one or several."""
    found = packet.find(f".//{name}", NAMES)
    if found is None:
        return []
    return [item.text or "" for item in found.iterfind(".//rdf:li", NAMES)] or [found.text or ""]


def test_a_picture_that_a_model_drew_says_so_in_iptcs_words_and_names_its_spec() -> None:
    packet = told(encode(noise(1), image_spec(), synthetic=True))
    assert all_of(packet, "iptc:DigitalSourceType") == [SYNTHETIC]
    assert SYNTHETIC.endswith("/trainedAlgorithmicMedia")
    assert all_of(packet, "dc:identifier") == [f"mirsb:image-spec:{image_spec().id}"]
    assert all_of(packet, "dc:creator") == []


def test_a_picture_with_sources_names_author_licence_and_address_each_once() -> None:
    sources = [
        source(),
        source(title="Pear", url="https://example.org/pear"),
        source(author="Grace", licence="CC0-1.0"),
    ]
    packet = told(encode(noise(1), image_spec(), sources))
    assert all_of(packet, "dc:creator") == ["Ada", "Grace"]
    assert all_of(packet, "dc:source") == ["Red apple: https://example.org/apple", "Pear: https://example.org/pear"]
    assert all_of(packet, "rights:UsageTerms") == ["CC-BY-SA-4.0; CC0-1.0"]
    assert all_of(packet, "iptc:DigitalSourceType") == []


def with_everything(format: str) -> PillowImage.Image:
    """A picture read from a file that says a lot of itself."""
    exif = PillowImage.Exif()
    exif[0x010F] = "Maker of the camera"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)  # GPS latitude
    buffer, about = io.BytesIO(), PngInfo()
    about.add_text("Comment", "seen at home")
    about.add_itxt(XMP, "<x>somebody else's</x>")
    more = {"pnginfo": about} if format == "PNG" else {"comment": b"seen at home"}
    noise(3).save(buffer, format=format, exif=exif, icc_profile=b"a profile", dpi=(300, 300), **more)
    picture = PillowImage.open(io.BytesIO(buffer.getvalue()))
    picture.load()
    return picture


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_whatever_a_found_file_said_of_itself_stays_behind(format: str) -> None:
    found = with_everything(format)
    data = encode(found, image_spec(), [source()])
    told(data)
    with PillowImage.open(io.BytesIO(data)) as kept:
        assert not kept.getexif()
        assert np.array_equal(np.asarray(kept), np.asarray(found))
    for word in (b"Maker", b"seen at home", b"a profile", b"somebody else", b"eXIf", b"iCCP", b"pHYs"):
        assert word not in data
    assert "exif" in found.info or found.getexif(), "the picture itself is left as it was"


def test_the_same_picture_spec_and_sources_are_the_same_bytes() -> None:
    first = encode(noise(1), image_spec(), [source()], synthetic=True)
    assert encode(with_read(noise(1)), image_spec(), [source()], synthetic=True) == first
    assert encode(noise(1), image_spec(index=2), [source()], synthetic=True) != first


def with_read(pixels: PillowImage.Image) -> PillowImage.Image:
    """The same pixels from a file."""
    return PillowImage.open(io.BytesIO(png(pixels)))


@given(st.text(), st.text(), st.text(alphabet=st.characters(exclude_categories=())))
def test_whatever_is_in_a_title_the_packet_stays_xml_and_keeps_what_xml_can_hold(
    title: str, author: str, licence: str
) -> None:
    packet = Xml.fromstring(
        write_xmp(image_spec(), [source(title=title, author=author, licence=licence)], synthetic=False).encode()
    )
    assert len(all_of(packet, "dc:source")[0]) == len(f"{title}: https://example.org/apple")
    if author.isprintable():
        assert all_of(packet, "dc:creator") == [author]


@pytest.mark.parametrize("odd", ["\x00", "\x0b", "\x1f", "\ud800", "\uffff", "\r", "]]>", "&<>\"'"])
def test_a_title_with_characters_that_xml_does_not_know_is_stored_and_read(odd: str) -> None:
    data = encode(noise(1), image_spec(), [source(title=f"a{odd}b")])
    assert all_of(told(data), "dc:source")[0].startswith("a")
    assert all_of(told(data), "dc:source")[0].endswith("b: https://example.org/apple")
