"""People to targets and back: the only door to the kernels."""

from spmdata.codec.codec import Codec
from spmdata.codec.kept import Kept
from spmdata.codec.targets import Reads, Targets

__all__ = ["Codec", "Kept", "Reads", "Targets"]
