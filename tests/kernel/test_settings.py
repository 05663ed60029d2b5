"""A wrong setting stops the start with one sentence that names it."""

from pathlib import Path

import pytest

from ocs.kernel.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCS_PORT", "80000"),
        ("OCS_PORT", "many"),
        ("OCS_DATABASE_URL", "mysql://localhost/ocs"),
        ("OCS_OBJECT_STORE", "gs://bucket"),
        ("OCS_SECRET_KEY", "changeme"),
        ("OCS_SECRET_KEY", "short"),
        ("OCS_SCHEDULER_ENABLED", "perhaps"),
        ("OCS_RATE_LIMITS", "requestgroups.create=many"),
        ("OCS_PUBLIC_URL", "observatory.example"),
        ("OCS_LOG_LEVEL", "LOUD"),
        ("OCS_CONFIGDB_PREFIX", "configdb"),
        ("OCS_SCHEDULER_BUDGET_S", "-1"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    sentence = str(caught.value)
    assert name in sentence
    assert "\n" not in sentence
    if name == "OCS_SECRET_KEY":
        assert value not in sentence


def test_no_setting_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OCS_DATA_DIR", "OCS_DATABASE_URL", "OCS_OBJECT_STORE", "OCS_WATCH_DIR"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings()
    assert settings.data_dir == Path("ocs-data")
    assert settings.objects_dir == Path("ocs-data/objects")
    assert settings.incoming_dir == Path("ocs-data/incoming")
    assert (settings.host, settings.port, settings.scheduler_enabled) == ("127.0.0.1", 8000, True)


def test_lists_and_limits_are_read_from_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16")
    monkeypatch.setenv("OCS_RATE_LIMITS", "requestgroups.create=5/day, requestgroups.validate=2/minute")
    monkeypatch.setenv("OCS_OBJECT_STORE", "s3://my-bucket")
    settings = load_settings()
    assert settings.trusted_proxies == ["10.0.0.1", "10.1.0.0/16"]
    assert settings.rate_limits == {"requestgroups.create": "5/day", "requestgroups.validate": "2/minute"}
    assert settings.objects_dir is None


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_SECRET_KEY", "canary-" * 6)
    monkeypatch.setenv("OCS_DATABASE_URL", "postgresql://u:canary@localhost/x")
    assert "canary" not in repr(load_settings())
