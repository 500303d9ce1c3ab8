"""Options that commands share."""

import argparse
import os
from pathlib import Path


def add_assets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--assets", type=Path, metavar="DIR", help="judges and photographs (or IMAGO_ASSETS)")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)


def add_frechet_resamples(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frechet-resamples", type=int, default=100, metavar="N", help="for its interval; seconds each"
    )
