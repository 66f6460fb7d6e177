"""Tensors of model files, for the families of the second reader that need the package `numpy`."""

import numpy as np

from aez_basics import need

TYPES = {"I8": "i1", "I16": "<i2", "I32": "<i4", "U8": "u1", "U16": "<u2"}


class Tensors:
    """The tensors of a model file."""

    def __init__(self, header, values):
        self.header, self.values = header, values

    def get(self, name, dtype, count):
        about = self.header.get(name)
        need(about is not None, f"no tensor {name}", "model")
        need(about["dtype"] == dtype, f"type of {name}", "model")
        start, end = about["data_offsets"]
        kind = np.dtype(TYPES[dtype])
        need(0 <= start <= end <= len(self.values), f"place of {name}", "model")
        need(end - start == count * kind.itemsize, f"number of values of {name}", "model")
        return np.frombuffer(self.values[start:end], kind)
