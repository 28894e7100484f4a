"""Systems that name the recipient inside a sentence, each with a wording of its own.

MailFoundry, Barracuda, SurfControl, Zix, LSMTP, Prodigy, hotpop, usa.net, Juno and others; the
sentences are data here because each system has only one. Seen in public collections of bounces.
"""

import re

from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.reading import RETURNED, Entry, notice_of, reports, tidy
from bouncesink.parse.formats.sender import calls_itself_one
from bouncesink.parse.message import Found, Message

NAME = "sentence"
HINTS: tuple[str, ...] = ()

_WHO = (
    r"[\"'<(\[]{0,2}(?:mailto:)?(?P<address>[^\s<>\"'()\[\],;]{1,256}@[^\s<>\"'()\[\],;:]{1,255})"
)
_SENTENCES = (
    (
        r"unable to deliver (?:your |the |this )?(?:message|mail"
        r"|e-?mail)(?: addressed)? to:?\s{1,20}<WHO>"
    ),
    (
        r"(?:could|can) ?not (?:be )?deliver(?:ed)? (?:your |the |this )?(?:message|mail"
        r"|e-?mail)?\s{0,20}(?:addressed )?to:?\s{1,20}<WHO>"
    ),
    (
        r"^(?:your|the) (?:message|mail|e-?mail)(?: sent)?(?: addressed)?"
        r" to:?\s{1,20}<WHO>[^\n]{0,10}\s{1,20}(?:could not|couldn't|was not|wasn't|cannot|has not"
        r"|was (?:blocked|rejected|returned|refused|not|automatically|considered)"
        r"|has been (?:blocked"
        r"|rejected|returned))"
    ),
    (
        r"(?:following|these) (?:recipients?|addresses)(?:\(s\))? (?:returned|had|have)"
        r" (?:permanent"
        r"|fatal|delivery) errors?:\s{1,20}<WHO>"
    ),
    (
        r"^(?:addressed to|intended recipient|undeliverable address|failed address"
        r"|failed recipients?"
        r"|error-for|bad recipient|undelivered to|delivery failed|delivery failure"
        r"|failed to deliver to|failed delivery to|message to|mail to|rejected recipient"
        r"|invalid recipient|unknown recipient|no such (?:user|recipient))[ \t]*:\s{0,4}<WHO>"
    ),
    r"user'?s mailbox is full:\s{1,20}<WHO>",
    r"(?:was|were|been) addressed to\s{1,20}<WHO>",
    (
        r"delivery to (?:the (?:following )?(?:address|recipients?"
        r"|mailbox))?:?\s{0,6}<WHO>[^\n]{0,10} (?:has )?(?:failed|was|is not|could not)"
    ),
    (
        r"(?:message|mail|e-?mail) (?:could not|couldn't|can't|cannot) be (?:delivered"
        r"|sent) to:?\s{1,20}(?:the (?:following )?(?:user|recipient|address)(?:\(s\)"
        r"|e?s)?:?\s{1,20})?<WHO>"
    ),
    (
        r"(?:the )?(?:user|recipient|mailbox|account|address"
        r"|e-?mail address),?:?\s{1,20}<WHO>[^\n]{0,6}\s{0,20},? (?:is (?:not|no longer|unknown"
        r"|invalid|full"
        r"|over|disabled|inactive)|does not exist|doesn't exist|was not found|could not be found"
        r"|unknown|is a non)"
    ),
    (
        r"(?:no|there is no) (?:such )?(?:user|mailbox|account|recipient)(?: here)?(?: (?:named?"
        r"|called|with (?:the )?address))?:?\s{1,20}<WHO>"
    ),
    (
        r"(?:ihre|die) (?:nachricht|e-?mail|mail) (?:an|fuer"
        r"|für)\s{1,20}<WHO>[^\n]{0,12}\s{1,20}(?:konnte"
        r"|wurde|kann) nicht"
    ),
    (
        r"(?:konnte|kann) (?:nicht )?an (?:den |die )?(?:folgenden? )?(?:empfänger"
        r"|adresse)?:?\s{0,20}<WHO>[^\n]{0,6}(?:\s{1,20}nicht)?\s{1,20}(?:zugestellt|ausgeliefert"
        r"|gesendet)"
    ),
    (
        r"(?:votre|le) (?:message|courriel|e-?mail|mail) (?:à|pour"
        r"|destiné à)\s{1,20}<WHO>[^\n]{0,12}\s{1,20}n'a (?:pas )?pu"
    ),
    (
        r"(?:n'a|n'ont) (?:pas )?pu être (?:remis|envoyé|délivré|distribué)e?s?(?: à"
        r"| au destinataire)?(?: suivant)?[ \t]*:?\s{1,20}<WHO>"
    ),
    (
        r"(?:su|el) (?:mensaje|correo)(?: enviado)? (?:a"
        r"|para)\s{1,20}<WHO>[^\n]{0,12}\s{1,20}no (?:pudo"
        r"|ha podido|se pudo|fue)"
    ),
    (
        r"no (?:se )?(?:pudo|ha podido|fue posible) (?:ser )?entreg(?:ar|ado)[^\n:]{0,60}(?:a|para"
        r"|:)\s{1,20}<WHO>"
    ),
)
_PATTERNS = tuple(
    re.compile(sentence.replace("<WHO>", _WHO), re.IGNORECASE | re.MULTILINE)
    for sentence in _SENTENCES
)
_CHEAP = re.compile(
    r"deliver|mailbox|recipient|address|zugestellt|ausgeliefert|remis|distribu|entreg|rejected"
    r"|blocked"
    r"|such user|no user",
    re.IGNORECASE,
)


def recognize(message: Message) -> Found | None:
    if not calls_itself_one(message):
        return None
    parted = notice_of(message, _CHEAP, RETURNED)
    if parted is None:
        return None
    notice, returned = parted
    found: list[Entry] = []
    for pattern in _PATTERNS:
        for said in list(pattern.finditer(notice, 0, 8000))[:100]:
            address = tidy(said["address"])
            if address:
                found.append(Entry(address, notice[said.start() : said.start() + 1200]))
    ours = {each.lower() for each in map(tidy, message.headers.all("to")) if each}
    made = reports(
        [each for each in found if each.address.lower() not in ours], NAME, action_in(notice)
    )
    return Found(made, returned_text=returned) if made else None
