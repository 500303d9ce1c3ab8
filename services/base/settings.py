"""Settings of a process: read once from the environment by its entry point, then passed on."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from imago_engine.weights import shipped_generator

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
"""As browsers send it: small letters, no path, no slash at the end."""
_DEVICE = r"(?:auto|mps|(?:cpu|cuda)(?::\d{1,3})?)"


class SettingsError(ValueError):
    """The environment lacks a setting or holds one that cannot be used; the message names the variables."""


class Settings(BaseSettings):
    """All settings, each from the variable `IMAGO_` + its name in capitals. Raises `SettingsError`.

    Durations are in seconds. The servers' addresses and the store's keys have no default: a process must
    never talk to a server that nobody chose.
    """

    model_config = SettingsConfigDict(env_prefix="IMAGO_", extra="ignore", frozen=True)

    database_url: str = Field(description="PostgreSQL, as postgresql+psycopg://user:password@host:port/name")
    broker_url: str = Field(description="Valkey or Redis, as redis://host:port/0")
    s3_endpoint_url: str = Field(description="The S3 store, as http://host:port")
    s3_public_endpoint_url: str | None = Field(
        None, description="Address of the store as clients reach it; used only to sign addresses for them"
    )
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_region: str = "us-east-1"
    s3_bucket: str = Field("imago", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    store_folder: Path | None = Field(
        None,
        description="Where the store keeps its files, if this machine sees them: what plainly does not fit "
        "there is refused",
    )
    image_delivery: Literal["stream", "redirect"] = Field(
        "stream", description="How the API serves images: itself, or by a redirect to a signed address"
    )
    public_read: bool = Field(True, description="Whether reading needs no key")
    read_memory_mib: int = Field(
        64,
        ge=0,
        le=65_536,
        description="What an API process keeps of answers, and as much of objects, in MiB",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins, with commas between them, whose pages may send keys and write: "
        "https://lab.example.org,http://localhost:3000",
    )

    lease_seconds: float = Field(60, ge=1, le=3600, description="How long a silent worker keeps its batch")
    heartbeat_seconds: float = Field(10, gt=0, description="How often a worker renews its lease")
    poll_seconds: float = Field(15, gt=0, le=3600, description="How often an idle worker looks by itself")
    batch_seconds: float = Field(20, gt=0, le=600, description="How long a batch should take")
    max_batch: int = Field(64, ge=1, le=1024, description="Items of one batch at most")
    store_patience_seconds: float = Field(
        60,
        gt=0,
        le=3600,
        description="How long a worker waits for a store that does not answer before it gives its items back",
    )
    stop_seconds: float = Field(
        10,
        ge=3,
        le=600,
        description="How long a worker may take to end once it is asked to, less than whoever asks will wait",
    )
    max_units_per_job: int = Field(20_000, ge=1, le=1_000_000, description="Items of one job at most")

    scrub_per_minute: int = Field(
        60, ge=0, le=100_000, description="Pictures a minute whose objects idle workers check; 0 for none"
    )

    scan_slice_seconds: float = Field(
        3,
        gt=0,
        le=60,
        description="After how long a worker that looks for exemplars lets pictures that wait go first",
    )

    device: str = Field(
        "auto",
        pattern=rf"^{_DEVICE}(,{_DEVICE})*$",
        description="What a worker computes on: auto, cpu, cuda, mps, or one of several, such as cuda:1; a "
        "list with commas, such as cuda:0,cuda:1, for one worker each",
    )
    threads: int | None = Field(
        None, ge=1, description="Threads of a worker's CPU computation; by default all cores"
    )

    weights_folder: Path | None = Field(None, description="Where files of networks lie")
    cache_folder: Path = Field(
        Path("~/.cache/imago"), description="Where a worker keeps what it can fetch or make again"
    )
    data_root: Path | None = Field(
        None, description="Where the pictures lie that generators are trained on and exemplars are found in"
    )
    largest_picture_mib: int = Field(
        256, ge=1, description="An encoded picture of more is left out of a training or scan"
    )
    largest_archive_gib: int = Field(
        64, ge=1, description="A compressed archive of pictures that unpacks to more is refused"
    )
    generator_path: Path = Field(
        shipped_generator(), description="A generator that becomes the default when it is brought first"
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="For machines, or for people, who see reads that succeed at level debug only"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(_readable(error)) from None

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_small_letters(cls, word: Any) -> Any:
        # `IMAGO_LOG_LEVEL=INFO` is how most programs spell it.
        return word.lower() if isinstance(word, str) else word

    @field_validator("cache_folder", "data_root", "store_folder")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return path if path is None else path.expanduser()

    @field_validator("database_url")
    @classmethod
    def _only_psycopg(cls, url: str) -> str:
        # Hosting platforms hand out postgres:// and postgresql://, which select a driver that is not here.
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgres", "postgresql", "postgresql+psycopg"):
            raise ValueError(
                "must be a PostgreSQL address, postgresql+psycopg://user:password@host:port/name"
            )
        return f"postgresql+psycopg://{rest}"

    @field_validator("broker_url")
    @classmethod
    def _only_redis(cls, url: str) -> str:
        if not url.startswith(("redis://", "rediss://", "redis+socket://")):
            raise ValueError("must be a Redis address, redis://host:port/0")
        return url

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, origins: Any) -> Any:
        if not isinstance(origins, str):
            return origins
        return [part.strip() for part in origins.split(",") if part.strip()]

    @field_validator("cors_origins")
    @classmethod
    def _only_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"must be origins such as https://lab.example.org, without a path; got {origin!r}"
                )
        return origins

    @field_validator("s3_endpoint_url", "s3_public_endpoint_url")
    @classmethod
    def _only_http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must be an address such as http://host:port")
        return url

    @property
    def devices(self) -> tuple[str, ...]:
        """One for each worker of this machine that the command starts."""
        return tuple(self.device.split(","))

    @model_validator(mode="after")
    def _heart_beats_often_enough(self) -> "Settings":
        if self.heartbeat_seconds > self.lease_seconds / 3:
            raise ValueError(
                "heartbeat_seconds must be at most a third of lease_seconds, "
                "so that one lost heartbeat does not end a lease"
            )
        return self


def _readable(error: ValidationError) -> str:
    lines = []
    for detail in error.errors(include_url=False, include_input=False):
        name = f"IMAGO_{detail['loc'][0]}".upper() if detail["loc"] else "settings"
        if detail["type"] == "missing":
            field = Settings.model_fields[str(detail["loc"][0])]
            lines.append(f"{name} is not set" + (f" ({field.description})" if field.description else ""))
        else:
            lines.append(f"{name}: {detail['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
