"""The certificates that Amazon SNS signs with: from its own hosts only, and kept.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. That the file comes
over HTTPS from a host of SNS is what it is trusted for; it names no issuer that could be asked. It
must be in time, and be made out to SNS.
"""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from bouncesink.intake.webhooks.request import Fetch, NotFetched, Refused

HOST = r"sns\.[a-z]{2}(?:-[a-z]+)+-\d\.amazonaws\.com(?:\.cn)?"

_URL = re.compile(rf"https://{HOST}/SimpleNotificationService-[0-9a-f]{{8,64}}\.pem")
_NAME = re.compile(r"(?:[a-z0-9-]+\.)?sns[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?")
_MAX_KEPT = 16
_MAX_FETCHED = 10
_SPAN = timedelta(minutes=1)
"""At most so many certificates are asked for in this time, whatever anyone makes us do."""


class Certificates:
    """Belongs to one event loop."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._fetched: deque[datetime] = deque(maxlen=_MAX_FETCHED)
        self._turn = asyncio.Lock()

    async def key(self, url: str, now: datetime) -> Any:
        """Give the RSA key of the certificate at `url`. Raises Refused."""
        if not _URL.fullmatch(url):
            raise _refused("the certificate is not at a host of Amazon SNS")
        certificate = self._kept.get(url)
        if certificate is None:
            async with self._turn:
                certificate = self._kept.get(url) or self._read(await self._get(url, now))
                self._kept[url] = certificate
                if len(self._kept) > _MAX_KEPT:
                    self._kept.popitem(last=False)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _refused("the certificate is out of its time")
        return certificate.public_key()

    async def _get(self, url: str, now: datetime) -> bytes:
        if len(self._fetched) == _MAX_FETCHED and now - self._fetched[0] < _SPAN:
            raise Refused(503, "certificate", "too many certificates were asked for")
        self._fetched.append(now)
        try:
            return await self._fetch(url)
        except NotFetched as error:
            said = f"the certificate cannot be fetched: {error}"
            raise Refused(403 if error.final else 503, "certificate", said) from None

    def _read(self, pem: bytes) -> Any:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.x509 import load_pem_x509_certificate

        try:
            certificate = load_pem_x509_certificate(pem)
            is_rsa = isinstance(certificate.public_key(), RSAPublicKey)
            names = list(_names(certificate))
        except Exception:
            raise _refused("this is no certificate") from None
        if not is_rsa or not any(map(_NAME.fullmatch, names)):
            raise _refused("the certificate is not made out to Amazon SNS")
        return certificate


def _names(certificate: Any) -> Iterator[str]:
    from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName
    from cryptography.x509.oid import NameOID

    for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        yield str(each.value).lower()
    try:
        extension = certificate.extensions.get_extension_for_class(SubjectAlternativeName)
    except ExtensionNotFound:
        return
    yield from (name.lower() for name in extension.value.get_values_for_type(DNSName))


def _refused(said: str) -> Refused:
    return Refused(403, "certificate", said)
