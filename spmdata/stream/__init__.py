"""A store's rows as batches of numpy arrays, read ahead by threads in an order that a position alone continues."""

from spmdata.stream.buffers import RowBatch
from spmdata.stream.order import RowOrder
from spmdata.stream.threads import RowStream

__all__ = ["RowBatch", "RowOrder", "RowStream"]
