"""One TOML file -> one frozen Config, loaded once and passed down.

Strict: an unknown key is refused with the nearest right name, a wrong type with the right one.
Paths are relative to the folder of the file. Durations are in seconds unless the key says `days`.
"""

import tomllib
from pathlib import Path

from bouncesink.config.checks import check
from bouncesink.config.reading import Reader
from bouncesink.config.secret_files import find_secret, read_secret
from bouncesink.config.sections import (
    AlertsConfig,
    Config,
    GateConfig,
    HubSpotConfig,
    ImapConfig,
    LeadsConfig,
    LedgerConfig,
    LmtpConfig,
    LogConfig,
    MailboxConfig,
    ParseConfig,
    Policy,
    PostcardsConfig,
    ProviderConfig,
    RetentionConfig,
    SheetConfig,
    SheetsConfig,
    SmartLeadConfig,
    TrustConfig,
    WatchConfig,
    WebConfig,
    WebhooksConfig,
)
from bouncesink.errors import ConfigError

__all__ = [
    "AlertsConfig",
    "Config",
    "GateConfig",
    "HubSpotConfig",
    "ImapConfig",
    "LeadsConfig",
    "LedgerConfig",
    "LmtpConfig",
    "LogConfig",
    "MailboxConfig",
    "ParseConfig",
    "Policy",
    "PostcardsConfig",
    "ProviderConfig",
    "RetentionConfig",
    "SheetConfig",
    "SheetsConfig",
    "SmartLeadConfig",
    "TrustConfig",
    "WatchConfig",
    "WebConfig",
    "WebhooksConfig",
    "find_secret",
    "load",
    "parse",
    "read_secret",
]


def load(path: Path) -> Config:
    """Read a config file. Raises ConfigError with the file, the key and where it can, the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file. `bouncesink init {path}` writes one to start from."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Make a Config of TOML text; `path` is for messages and for relative paths."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    reader = Reader(text, path)
    config: Config = reader.table(Config, data, ())
    check(config, reader)
    return config
