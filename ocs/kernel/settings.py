"""One tree of settings, read from the environment (prefix `OCS_`)."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_PLACEHOLDER_SECRETS = {"changeme", "change-me", "secret", "password", "placeholder", "xxx"}
_RATE_LIMIT = re.compile(r"^[1-9]\d*/(second|minute|hour|day)$")


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split_commas)]


def _split_pairs(value: object) -> object:
    """Read `name=5000/day, other=10/minute`."""
    if not isinstance(value, str):
        return value
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): limit.strip() for name, _, limit in parts}


RateLimits = Annotated[dict[str, str], NoDecode, BeforeValidator(_split_pairs)]


class SettingsError(Exception):
    """A setting is wrong; the text is one sentence that names it."""


class Settings(BaseSettings):
    """Everything an operator can set. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix="OCS_", extra="ignore")

    data_dir: Path = Field(Path("./ocs-data"), description="Folder that holds everything we write")
    database_url: SecretStr | None = Field(
        None, description="Outside Postgres >= 15, e.g. postgresql://user:password@host/database"
    )
    object_store: str | None = Field(
        None, description="Folder or s3://bucket; $OCS_DATA_DIR/objects if unset"
    )
    watch_dir: Path | None = Field(
        None, description="Folder watched for new FITS; $OCS_DATA_DIR/incoming if unset"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")
    public_url: str | None = Field(
        None, description="Address under which clients reach us, without final slash"
    )
    secret_key: SecretStr | None = Field(
        None, description="Key for encryption and signatures, >= 32 characters"
    )
    trusted_proxies: CommaList = Field([], description="Peers whose X-Forwarded-* headers are believed")
    cors_origins: CommaList = Field([], description="Origins that may use cookies across origins")
    compose_return_origins: CommaList = Field(
        [], description="Origins a composed request may return to, e.g. https://tom.example.org"
    )
    mail_url: SecretStr | None = Field(None, description="smtp://user:password@host:port for outgoing mail")
    rate_limits: RateLimits = Field({}, description="Limits by scope, e.g. requestgroups.create=5000/day")
    configdb_prefix: str = Field("/configdb", description="Path under which configdb answers")
    downtime_prefix: str = Field("/downtime", description="Path under which downtime answers")
    downtime_user_writes: bool = Field(
        False, description="Let every user make downtimes, and delete their own; otherwise only staff may"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    database_pool_size: int = Field(6, ge=2, le=200, description="Database connections of this process")
    solver_idle_s: float = Field(20.0, gt=0, description="Seconds after which an idle CPU worker is unloaded")

    scheduler_enabled: bool = Field(True, description="Run our own scheduler; false leaves a full portal")
    scheduler_debounce_s: float = Field(2.0, ge=0, description="Real seconds to gather changes before a run")
    scheduler_interval_s: float = Field(600.0, gt=0, description="Seconds after which a run happens anyway")
    scheduler_budget_s: float = Field(10.0, gt=0, le=600, description="Longest solve, real seconds")
    scheduler_horizon_days: float = Field(5.0, gt=0, le=60, description="How far ahead is scheduled, days")

    visibility_max_pairs: int = Field(
        10_000, ge=1, description="Largest targets x sites of one visibility call"
    )
    visibility_max_days: int = Field(400, ge=1, description="Longest window of one planning call, days")

    anonymous_limit: int = Field(100, ge=1, description="Largest page of an anonymous caller")
    anonymous_offset: int = Field(10_000, ge=0, description="Largest offset of an anonymous caller")
    min_ipp: float = Field(0.5, ge=0, description="Smallest intra-proposal priority")
    max_ipp: float = Field(2.0, ge=0, description="Largest intra-proposal priority")
    time_overuse_allowance: float = Field(1.1, ge=1, description="Factor on the time that is left")
    max_failures_per_request: int = Field(
        0, ge=0, description="Failures that end a request; 0 switches it off"
    )

    site_code_length: int = Field(3, ge=1, le=200, description="Longest site code the archive takes")
    archive_requires_files: bool = Field(
        True, description="Refuse records whose key says that their file is in our store when it is not"
    )
    days_until_public: int = Field(365, ge=0, description="Default proprietary period, days")
    download_url_lifetime_s: int = Field(
        172_800, ge=60, description="Validity of a download address, seconds"
    )

    @field_validator("secret_key")
    @classmethod
    def _refuse_weak_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            text = value.get_secret_value()
            if len(text) < 32 or text.lower().strip("_-") in _PLACEHOLDER_SECRETS:
                raise ValueError("needs at least 32 random characters")
        return value

    @field_validator("rate_limits")
    @classmethod
    def _read_limits(cls, value: dict[str, str]) -> dict[str, str]:
        for name, limit in value.items():
            if not _RATE_LIMIT.match(limit):
                raise ValueError(f"{name}: {limit!r} is not of the form 5000/day")
        return value

    @field_validator("database_url")
    @classmethod
    def _only_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("object_store")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value and "://" in value and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
            raise ValueError("must be a folder or s3://bucket")
        return value or None

    @field_validator("public_url")
    @classmethod
    def _bare_url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/") if value else None

    @field_validator("configdb_prefix", "downtime_prefix")
    @classmethod
    def _plain_prefix(cls, value: str) -> str:
        if not re.fullmatch(r"(/[A-Za-z0-9_-]+)+/?", value):
            raise ValueError("must be a path such as /configdb")
        return value.rstrip("/")

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @property
    def objects_dir(self) -> Path | None:
        """Folder of the object store, None when it is S3."""
        if self.object_store and self.object_store.startswith("s3://"):
            return None
        return Path(self.object_store) if self.object_store else self.data_dir / "objects"

    @property
    def incoming_dir(self) -> Path:
        """Folder that is watched for new files."""
        return self.watch_dir or self.data_dir / "incoming"


def load_settings(**overrides: object) -> Settings:
    """Read the environment.

    Raises
    ------
    SettingsError
        With one sentence that names the first wrong setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "OCS_" + "_".join(str(part) for part in first["loc"][:1]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"The setting {name} is wrong: {reason}.") from error
