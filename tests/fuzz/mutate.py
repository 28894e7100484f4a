"""Mails from mails: the mutations that the fuzzers and the property tests share."""

import random
from collections.abc import Sequence

SPLICES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xff\xfe",
    b"\x1b$B",
    b"=?utf-8?b?",
    b"?=",
    b"--",
    b"--B--\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Type: multipart/mixed; boundary=",
    b"Content-Transfer-Encoding: base64\n",
    b"; charset=punycode",
    b"Final-Recipient: rfc822; ",
    b"Diagnostic-Code: smtp; 550-5.1.1 ",
    b"---------- Forwarded message ---------\nFrom: mailer-daemon@example.com\n",
    b"<",
    b"@",
    b'"',
    b"(",
    b"<!--",
    b" " * 200,
    b"5.1.1 ",
)
MAX_SIZE = 400_000


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change a seed in up to eight places: cut, double, repeat, splice, flip, cross."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 8, 80, 800)))
        match rng.randrange(7):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = rng.choice(SPLICES)
            case 2:
                data[at:at] = rng.choice(SPLICES) * rng.choice((10, 1000, 20_000))
            case 3:
                data[at:at] = data[at:end] * rng.choice((2, 50, 1000))
            case 4:
                data[at:end] = rng.randbytes(end - at)
            case 5:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) + 1)
                data[at:end] = other[start : start + rng.choice((80, 800, 8000))]
            case _:
                data = data[:at]
        del data[MAX_SIZE:]
    return bytes(data)
