"""Amazon SES notifications that SNS sends by e-mail: one JSON object, then a footer."""

import json

from bouncesink.parse.message import Found, Message
from bouncesink.parse.providers import ses

NAME = ses.NAME
HINTS = ("notificationtype", "eventtype", '"message"')


def recognize(message: Message) -> Found | None:
    text = message.text.lstrip()
    if not text.startswith("{") or not _from_sns(message):
        return None
    try:
        body, _ = json.JSONDecoder(strict=False).raw_decode(text.replace("!\n ", ""))
        if isinstance(body, dict) and isinstance(body.get("Message"), str):
            body = json.loads(body["Message"])
    except (ValueError, RecursionError):
        return None
    told = ses.told_of(body) if isinstance(body, dict) else None
    if told is None:
        return None
    return Found(
        told.reports,
        kind=told.kind,
        feedback_type=told.feedback_type,
        returned_text=told.headers,
    )


def _from_sns(message: Message) -> bool:
    return "x-amz-sns-message-id" in message.headers or "sns.amazonaws.com" in message.from_
