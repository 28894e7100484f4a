"""Systems that list the recipients below a sentence of their own.

"The following addresses failed:", "could not be delivered to the following recipients:", and the
same in German, French, Spanish, Italian, Portuguese and Japanese. Public collections of bounces.
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.formats.sender import calls_itself_one
from bouncesink.parse.message import Found, Message

NAME = "listing"
HINTS: tuple[str, ...] = ()

_OPENING = re.compile(
    r"(?:(?:could|can) ?not be (?:delivered|sent|reached)|was not delivered|undeliverable"
    r"|not been delivered"
    r"|fail(?:ed|ure)|did not (?:reach|receive)|unable to (?:deliver|send|reach)|errors?|problems?"
    r"|rejected|not accepted)"
    r"[^\n.:]{0,60}\n?[^\n.:]{0,60}(?:recipients?|address(?:es)?|users?|destinations?)(?:\(s\)"
    r"|\(es\))?"
    r"[^\n:.]{0,60}[:.][ \t]*$"
    r"|(?:recipients?|address(?:es)?|users?|destinations?)(?:\(s\)"
    r"|\(es\))?[^\n:.]{0,40}\n?[^\n:.]{0,40}"
    r"(?:failed|could not|cannot|can not|did not|were not|was not|not delivered|undeliverable"
    r"|rejected|had"
    r" (?:\w{4,12} )?(?:errors|problems)|did NOT receive)[^\n:.]{0,60}[:.][ \t]*$"
    r"|here is your list of failed recipients[^\n]{0,10}$"
    r"|(?:empfänger|adressen?)[^\n:.]{0,60}(?:nicht|fehlgeschlagen"
    r"|unzustellbar)[^\n:.]{0,60}:[ \t]*$"
    r"|nicht (?:an|zugestellt|ausgeliefert)[^\n:.]{0,80}(?:empfängern?"
    r"|adressen?)?[^\n:.]{0,40}:[ \t]*$"
    r"|(?:n'a|n'ont) (?:pas )?(?:pu )?(?:être|été)[^\n:.]{0,80}:[ \t]*$"
    r"|(?:destinataires?|adresses?)[^\n:.]{0,60}(?:échou|n'ont|erreur"
    r"|impossible)[^\n:.]{0,40}:[ \t]*$"
    r"|no (?:se )?(?:pudo|ha podido|han podido|pudieron|fue posible)[^\n:.]{0,100}:[ \t]*$"
    r"|destinat[aá]ri[oa]s?[^\n:.]{0,80}:[ \t]*$|non (?:è|sono) stat[oaie][^\n:.]{0,80}:[ \t]*$"
    r"|(?:送信|配信|配送|お届け)[^\n]{0,60}(?:失敗|できません|でき(?:なかった|ず))[^\n]{0,40}$"
    r"|(?:宛先|あて先|メールアドレス)[^\n]{0,60}(?:できません|失敗|エラー|見つかりません)[^\n]{0,40}$",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    if not calls_itself_one(message):
        return None
    return read_list(message, NAME, _OPENING)
