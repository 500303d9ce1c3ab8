"""An `.npy` file that grows row by row, for collections larger than memory."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import DTypeLike


class ArrayFile:
    """Use as a context manager; the file is a valid array of `rows` rows once it is left without an error."""

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path, self.row_shape, self.dtype = path, row_shape, np.dtype(dtype)
        self.rows = 0

    def __enter__(self) -> "ArrayFile":
        self._handle = self.path.open("wb")
        self._write_header()
        self._start = self._handle.tell()
        return self

    def append(self, rows: np.ndarray) -> None:
        """Add rows [n, *row_shape]."""
        if rows.shape[1:] != self.row_shape:
            raise ValueError(
                f"{self.path.name}: expected rows of shape {self.row_shape}, got {rows.shape[1:]}"
            )
        try:
            self._handle.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        except OSError as error:  # which file it was, the kernel does not say
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.rows += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._handle:
            if error is None:
                self._handle.seek(0)
                self._write_header()  # numpy pads headers so that the first axis can grow in place
                assert self._handle.tell() == self._start

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.rows, *self.row_shape),
        }
        np.lib.format.write_array_header_1_0(self._handle, header)
