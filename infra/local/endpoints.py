"""Addresses and keys of the running servers, also as environment variables for a process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoints:
    """Addresses and keys of one set of servers, all on 127.0.0.1."""

    database_url: str
    broker_url: str
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str

    def environment(self) -> dict[str, str]:
        """The variables from which `services.base.settings.Settings` reads these addresses."""
        return {
            "IMAGO_DATABASE_URL": self.database_url,
            "IMAGO_BROKER_URL": self.broker_url,
            "IMAGO_S3_ENDPOINT_URL": self.s3_endpoint_url,
            "IMAGO_S3_ACCESS_KEY": self.s3_access_key,
            "IMAGO_S3_SECRET_KEY": self.s3_secret_key,
        }
