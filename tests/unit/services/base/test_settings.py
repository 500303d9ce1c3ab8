"""Settings are complete and plausible, or the process says what is wrong with them."""

from pathlib import Path

import pytest

from services.base.settings import Settings, SettingsError

GIVEN = {
    "IMAGO_DATABASE_URL": "postgres://user:password@db/imago",
    "IMAGO_BROKER_URL": "redis://broker:6379/0",
    "IMAGO_S3_ENDPOINT_URL": "http://store:8333",
    "IMAGO_S3_ACCESS_KEY": "key",
    "IMAGO_S3_SECRET_KEY": "very secret",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IMAGO_MAX_BATCH", "8")
    environment.setenv("IMAGO_WEIGHTS_FOLDER", "/weights")
    settings = Settings()
    assert settings.database_url == "postgresql+psycopg://user:password@db/imago"
    assert (settings.max_batch, settings.weights_folder) == (8, Path("/weights"))
    assert settings.s3_secret_key.get_secret_value() == "very secret"
    assert "very secret" not in repr(settings)


def test_every_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as raised:
        Settings()
    for name in GIVEN:
        assert f"{name} is not set" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IMAGO_DATABASE_URL", "sqlite:///x.db", "IMAGO_DATABASE_URL: must be a PostgreSQL address"),
        ("IMAGO_BROKER_URL", "amqp://x", "IMAGO_BROKER_URL: must be a Redis address"),
        ("IMAGO_S3_ENDPOINT_URL", "store:8333", "IMAGO_S3_ENDPOINT_URL: must be an address"),
        ("IMAGO_MAX_BATCH", "0", "IMAGO_MAX_BATCH: Input should be greater than or equal to 1"),
        ("IMAGO_HEARTBEAT_SECONDS", "30", "heartbeat_seconds must be at most a third of lease_seconds"),
        ("IMAGO_S3_BUCKET", "../x", "IMAGO_S3_BUCKET"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        Settings()
    assert said in str(raised.value)
    assert "very secret" not in str(raised.value)


@pytest.mark.parametrize("devices", ["auto", "cuda:0,cuda:1", "cpu:0,cpu:1", "mps", "cuda:0,cpu"])
def test_devices_are_a_list_with_commas(environment: pytest.MonkeyPatch, devices: str) -> None:
    environment.setenv("IMAGO_DEVICE", devices)
    assert Settings().devices == tuple(devices.split(","))


@pytest.mark.parametrize("devices", ["", "tpu", "cuda:", "cuda:0,", "mps:1", "cuda:0 cuda:1", "cuda:x"])
def test_what_is_no_device_is_refused(environment: pytest.MonkeyPatch, devices: str) -> None:
    environment.setenv("IMAGO_DEVICE", devices)
    with pytest.raises(SettingsError, match="IMAGO_DEVICE"):
        Settings()


def test_levels_and_formats_of_logs_may_be_spelled_in_capitals(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("IMAGO_LOG_LEVEL", "WARNING")
    environment.setenv("IMAGO_LOG_FORMAT", "Console")
    settings = Settings()
    assert (settings.log_level, settings.log_format) == ("warning", "console")
