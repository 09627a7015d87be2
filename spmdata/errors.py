"""What this library raises on bad input: one sentence that says what, where, what was found and what to do."""

from __future__ import annotations


class SpmError(Exception):
    """Base of every error that this library raises on purpose."""


class SpecError(SpmError):
    """A convention, size or skeleton that contradicts itself or is not supported."""


class AnnotationError(SpmError):
    """An annotation file that cannot be read or breaks its format; the message names the record."""


class StoreError(SpmError):
    """A store that is foreign, unfinished, damaged, locked or made by other settings."""


class RemoteError(SpmError):
    """A store that a URL names and that cannot be reached: credentials, bucket, network, a missing package."""


class ImageError(SpmError):
    """An image that cannot be read or decoded, or whose size is not the annotations'; the caller names the file."""


class ImageSizeError(ImageError):
    """An image of another size than its annotations are for."""
