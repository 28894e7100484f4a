"""What each of `[[providers]]` must and may have."""

import re
from collections.abc import Mapping, Sequence

from bouncesink.config.reading import Reader
from bouncesink.config.sections import Config, ProviderConfig

_NEEDS: Mapping[str, Sequence[str]] = {
    "ses": ("topics",),
    "sendgrid": ("secret_file",),
    "postmark": ("secret_file",),
    "mailgun": ("secret_file",),
    "mandrill": ("secret_file", "url"),
    "smartlead": ("secret_file",),
    "generic": ("secret_file",),
}
_MAY_HAVE: Mapping[str, Sequence[str]] = {
    "ses": ("max_age",),
    "sendgrid": ("max_age",),
    "postmark": ("header",),
    "mailgun": ("max_age",),
    "generic": ("max_age",),
}
_KEYS = ("topics", "secret_file", "url", "header", "max_age")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TOPIC = re.compile(
    r"arn:aws[a-z-]{0,20}:sns:[a-z0-9-]{1,30}:\d{12}:[\w-]{1,256}(\.fifo)?", re.ASCII
)


def check_providers(config: Config, reader: Reader) -> None:
    names: set[str] = set()
    for each in config.providers:
        _check_keys(each, reader)
        name = each.path_name
        if not _NAME.fullmatch(name):
            raise reader.error(
                ("providers", "name"), f"{name!r}: small letters, digits, - and _ are wanted"
            )
        if name in names:
            raise reader.error(("providers", "name"), f"{name!r} is there twice; give each its own")
        names.add(name)
        for topic in each.topics:
            if not _TOPIC.fullmatch(topic):
                raise reader.error(
                    ("providers", "topics"),
                    f'{topic!r} is no topic, as in "arn:aws:sns:eu-west-1:123456789012:bounces"',
                )
        if each.url and not re.fullmatch(r"https?://\S{1,2000}", each.url):
            raise reader.error(("providers", "url"), "https://HOST/... is wanted")
        if each.header and not re.fullmatch(r"[A-Za-z0-9-]{1,100}", each.header):
            raise reader.error(("providers", "header"), "the name of a header field is wanted")
        if each.max_age is not None and not each.max_age > 0:
            raise reader.error(("providers", "max_age"), "a number above zero is wanted")


def _check_keys(each: ProviderConfig, reader: Reader) -> None:
    needs, may = _NEEDS[each.provider], _MAY_HAVE.get(each.provider, ())
    for key in _KEYS:
        is_there = getattr(each, key) not in (None, "", ())
        if key in needs and not is_there:
            raise reader.error(("providers", key), f"is needed for {each.provider}")
        if is_there and key not in (*needs, *may):
            raise reader.error(("providers", key), f"is nothing that {each.provider} has")
