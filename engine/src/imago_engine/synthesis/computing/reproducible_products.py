"""Matrix products that do not depend on the company they are computed in."""

import os


def ask_for_reproducible_products() -> None:
    """Have torch's CPU library for matrix products, MKL, round a row alike wherever it stands in a matrix.

    On CPUs without AVX-512 it does not do so by itself: the last bits of an item's gradient would depend on
    its place in its group, and so would its picture after many steps. MKL reads the setting when it is used
    first; one that somebody has made stays. What it costs was not to be measured.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
