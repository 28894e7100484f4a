"""PURE. Who runs the mailbox of a recipient: a short list of names, and "other" for the rest.

The remote MTA tells it best, since most domains are hosted by somebody; where none is known (as of
what was sent) the domain does. The names are few and ours, so that they can be labels and rows.
"""

OTHER = "other"

_HOSTS = {
    "google.com": "google",
    "googlemail.com": "google",
    "protection.outlook.com": "microsoft",
    "hotmail.com": "microsoft",
    "outlook.com": "microsoft",
    "yahoodns.net": "yahoo",
    "icloud.com": "apple",
    "apple.com": "apple",
    "gmx.net": "gmx",
    "web.de": "gmx",
    "kundenserver.de": "ionos",
    "perfora.net": "ionos",
    "ionos.com": "ionos",
    "t-online.de": "t-online",
    "secureserver.net": "godaddy",
    "ovh.net": "ovh",
    "zoho.com": "zoho",
    "zoho.eu": "zoho",
    "yandex.net": "yandex",
    "yandex.ru": "yandex",
    "mail.ru": "mail.ru",
    "qq.com": "qq",
    "163.com": "netease",
    "netease.com": "netease",
    "protonmail.ch": "proton",
    "messagingengine.com": "fastmail",
    "comcast.net": "comcast",
    "orange.fr": "orange",
    "pphosted.com": "proofpoint",
    "ppe-hosted.com": "proofpoint",
    "mimecast.com": "mimecast",
    "messagelabs.com": "symantec",
    "barracudanetworks.com": "barracuda",
    "iphmx.com": "cisco",
    "mailspamprotection.com": "siteground",
}
"""By the domain of the remote MTA, as the providers' own pages on MX records give it."""

_DOMAINS = {
    "gmail.com": "google",
    "googlemail.com": "google",
    "hotmail.com": "microsoft",
    "hotmail.co.uk": "microsoft",
    "hotmail.de": "microsoft",
    "hotmail.fr": "microsoft",
    "live.com": "microsoft",
    "msn.com": "microsoft",
    "outlook.com": "microsoft",
    "outlook.de": "microsoft",
    "yahoo.com": "yahoo",
    "yahoo.co.uk": "yahoo",
    "yahoo.de": "yahoo",
    "yahoo.fr": "yahoo",
    "ymail.com": "yahoo",
    "aol.com": "yahoo",
    "icloud.com": "apple",
    "me.com": "apple",
    "mac.com": "apple",
    "gmx.de": "gmx",
    "gmx.net": "gmx",
    "gmx.com": "gmx",
    "web.de": "gmx",
    "t-online.de": "t-online",
    "zoho.com": "zoho",
    "yandex.ru": "yandex",
    "yandex.com": "yandex",
    "mail.ru": "mail.ru",
    "qq.com": "qq",
    "163.com": "netease",
    "126.com": "netease",
    "proton.me": "proton",
    "protonmail.com": "proton",
    "fastmail.com": "fastmail",
    "comcast.net": "comcast",
    "orange.fr": "orange",
    "wanadoo.fr": "orange",
}
"""By the domain of the address, where it is the provider's own."""

PROVIDERS = (*dict.fromkeys((*_HOSTS.values(), *_DOMAINS.values())), OTHER)


def provider_of(domain: str, remote_mta: str | None = None) -> str:
    """Give one of `PROVIDERS`; `domain` is that of the address, in lower case."""
    if (known := _DOMAINS.get(domain)) is not None:
        return known
    host = (remote_mta or "").lower().rstrip(".")
    while host:
        if (known := _HOSTS.get(host)) is not None:
            return known
        _, _, host = host.partition(".")
    return OTHER
