"""People to targets and back: the only door to the kernels."""

from spmdata.codec.codec import Codec
from spmdata.codec.constants import TIP_STEP
from spmdata.codec.kept import Kept
from spmdata.codec.targets import Reads, Targets

__all__ = ["TIP_STEP", "Codec", "Kept", "Reads", "Targets"]
