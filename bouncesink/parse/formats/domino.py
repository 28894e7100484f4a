"""HCL (IBM, Lotus) Domino.

"Your message", its subject, "was not delivered to:", the addresses, "because:", the reason; the
same in German, French and Spanish. Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import listed, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "domino"
HINTS = ("delivered to:", "wurde nicht", "konnte nicht", "n'a pas été", "no se ", "no fue ")

_OPENING = re.compile(
    r"(?:was|were|could) not (?:be )?delivered to:[ \t]*\n"
    r"|(?:wurde|konnte) nicht (?:zugestellt werden )?(?:an|zugestellt)[^:\n]{0,20}:[ \t]*\n"
    r"|n'a pas été (?:remis|distribué|délivré)e? à[ \t]*:[ \t]*\n"
    r"|no (?:se entregó|fue entregado|se ha entregado) a[ \t]*:[ \t]*\n",
    re.IGNORECASE,
)
_BECAUSE = re.compile(
    r"^[ \t]*(?:because|weil|grund|car|parce que|motif|porque|debido a)[ \t]*:[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING)
    if parted is None:
        return None
    notice, returned = parted
    start = _OPENING.search(notice)
    because = _BECAUSE.search(notice, start.end()) if start else None
    if start is None or because is None:
        return None
    made = reports(
        listed(notice[start.end() : because.start()]), NAME, detail=notice[because.end() :].strip()
    )
    return Found(made, returned_text=returned) if made else None
