"""A picture file of anybody's as plain sRGB pixels, or the reason why it cannot be used."""

from __future__ import annotations

import io
from functools import cache
from typing import Any, Literal, cast

from PIL import Image, ImageCms, ImageOps

from mirsb_build.similarity.pixels import to_eight_bits

Fit = Literal["crop", "pad"]
"""How a picture is brought to the size asked for: cut at its longer sides, or put on white."""

SMALLEST = 64
"""Pixels that the shorter side must have."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
"""Others are not tried: Pillow runs programs for some of them. A phone's MPO is opened as JPEG."""

WHITE = (255, 255, 255)


class Unusable(Exception):
    """A file that is no usable picture: a reason that files can be counted by, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def decode(data: bytes, most_pixels: int, least: int = SMALLEST) -> Image.Image:
    """Decode the first frame in full and in the file's own mode; raises Unusable.

    The size is read from the header and judged before any pixel is decoded.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unusable("too large", f"has more than {most_pixels:,} pixels") from error
    except Exception as error:  # decoders raise anything at all for bytes that are no picture
        raise Unusable("broken", f"does not decode: {_reason(error)}") from error
    if picture.width * picture.height > most_pixels:
        raise Unusable("too large", f"is {picture.width} x {picture.height}: more than {most_pixels:,} pixels")
    if min(picture.size) < least:
        raise Unusable("too small", f"is {picture.width} x {picture.height}: under {least} pixels a side")
    try:
        picture.load()
    except Exception as error:
        raise Unusable("broken", f"does not decode: {_reason(error)}") from error
    return picture


@cache
def _formats() -> tuple[str, ...]:
    """Those of our formats that this build of Pillow has: it stumbles over the name of one that it has not."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not one of {', '.join(_formats())}"
    return (str(error) or type(error).__name__).splitlines()[0]


def decode_to_srgb(data: bytes, most_pixels: int, least: int = SMALLEST) -> Image.Image:
    """Decode a picture upright, in sRGB, over white, with nothing but pixels; raises Unusable."""
    picture = decode(data, most_pixels, least)
    try:
        return _to_srgb(picture)
    except Exception as error:
        raise Unusable("broken", f"cannot be converted to sRGB: {_reason(error)}") from error


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile: Any = picture.info.get("icc_profile")
    upright = ImageOps.exif_transpose(picture)
    upright = to_eight_bits(upright)
    alpha = upright.convert("RGBA").getchannel("A") if upright.has_transparency_data else None
    colours = _apply_profile(upright if upright.mode in ("RGB", "L", "CMYK") else upright.convert("RGB"), profile)
    if alpha is not None:
        ground = Image.new("RGB", colours.size, WHITE)
        ground.paste(colours, mask=alpha)
        colours = ground
    bare = colours.copy()
    bare.info = {}
    return bare


@cache
def _srgb() -> Any:
    return cast(Any, ImageCms).createProfile("sRGB")


def _apply_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert the colours as a profile means them; one that is broken or of other colours is left alone."""
    if profile:
        try:
            meant = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return cast(Image.Image, ImageCms.profileToProfile(picture, meant, _srgb(), outputMode="RGB"))
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return picture.convert("RGB")


def fit_to_size(picture: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Bring the picture to exactly that size (width, height)."""
    if fit == "pad":
        return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=WHITE)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
