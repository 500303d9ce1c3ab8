"""`python -m infra.images`: look up the digests of the images that are fetched, and pin them in all files."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ROOT / "infra" / "versions.toml"
_DIGEST = r"sha256:[0-9a-f]{64}"


def files() -> list[Path]:
    """The files that name images."""
    return [ROOT / "docker-compose.yml", *sorted((ROOT / "infra" / "docker").glob("*.Dockerfile"))]


def images() -> dict[str, str]:
    """Digests by image; "" where none has been looked up."""
    found: dict[str, str] = tomllib.loads(VERSIONS.read_text())["images"]
    return found


def pinned(text: str, image: str, digest: str) -> str:
    """`text` with the digest behind each mention of `image` as an image, in place of another."""
    return re.sub(
        rf"(?m)(^\s*image: |^FROM ){re.escape(image)}(@{_DIGEST})?(?=\s|$)", rf"\1{image}@{digest}", text
    )


def recorded(text: str, image: str, digest: str) -> str:
    """versions.toml with the digest of `image`."""
    return re.sub(rf'(?m)^"{re.escape(image)}" = ".*"$', f'"{image}" = "{digest}"', text)


def _look_up(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image]
    digest = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not re.fullmatch(_DIGEST, digest):
        raise ValueError(f"docker gave no digest of {image}: {digest!r}")
    return digest


def main() -> int:
    """Write the digests of the containers' images into the files that name them."""
    try:
        digests = {image: _look_up(image) for image in images()}
    except FileNotFoundError:
        print("docker with buildx is needed to look up digests", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd)}: {error.stderr.strip()}", file=sys.stderr)
        return 1
    for image, digest in digests.items():
        VERSIONS.write_text(recorded(VERSIONS.read_text(), image, digest))
        for file in files():
            file.write_text(pinned(file.read_text(), image, digest))
        print(f"{image}@{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
