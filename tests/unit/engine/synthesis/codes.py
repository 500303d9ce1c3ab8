"""The codes of pictures that a generator has made."""

import numpy as np
from numpy.typing import NDArray

from imago_engine.synthesis.pictures import Picture


def code_of(picture: Picture) -> NDArray[np.float32]:
    assert picture.code is not None
    return picture.code
