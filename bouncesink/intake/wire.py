"""PURE. Octets from a peer -> command lines and mail content, however they were cut into chunks."""

MAX_LINE = 2048
"""Octets in a command line. RFC 5321, section 4.5.3.1.4, asks for 512, extensions for some more."""

END = b"\r\n.\r\n"
"""The one end of mail data (RFC 5321, section 4.1.1.4). LF alone, CR alone and every mixture of
them are content: whoever takes them for an end lets a message be smuggled in another."""


class CommandLines:
    """Cuts command lines out of a buffer."""

    def __init__(self) -> None:
        self._skipping = False

    def take(self, buffer: bytearray) -> bytes | None:
        """Cut the next line out of `buffer`, without its end; None while there is no whole one.

        A line that is too long is cut to MAX_LINE + 1 octets; the rest of it is thrown away.
        """
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > MAX_LINE + len(b"\r"):
                self._skipping = True
                del buffer[MAX_LINE + 1 :]
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        if not self._skipping:
            line = line.removesuffix(b"\r")
        self._skipping = False
        return line[: MAX_LINE + 1]


class Content:
    """Collects mail data up to CRLF.CRLF; of a message over `limit` octets nothing is kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.too_big = False
        self._kept = bytearray(b"\r\n")  # the data begins at the start of a line
        self._dots = 0
        self._counted = 0

    def take(self, buffer: bytearray) -> bool:
        """Move the octets that belong to the content out of `buffer`; True when it is complete."""
        kept = self._kept
        start = max(0, len(kept) - len(END) + 1)
        kept += buffer
        end = kept.find(END, start)
        if end < 0:
            buffer.clear()
            self._measure()
        else:
            buffer[:] = kept[end + len(END) :]
            del kept[end + 2 :]
            # Exactly, now that the dot of the end cannot be taken for a stuffed one.
            excess = len(kept) - 2 - self.limit
            self.too_big = self.too_big or (excess > 0 and kept.count(b"\r\n.") < excess)
        if self.too_big:
            del kept[: 1 - len(END)]
        return end >= 0

    def octets(self) -> bytes:
        """Give the content as it was before dot-stuffing (RFC 5321, section 4.5.2)."""
        return bytes(self._kept).replace(b"\r\n.", b"\r\n")[2:]

    def _measure(self) -> None:
        """Stuffed dots are not of the message's size (RFC 1870, section 5), nor is a half end."""
        excess = len(self._kept) - 2 - self.limit - len(b".\r\n")
        if excess > 0 and not self.too_big:
            self._dots += self._kept.count(b"\r\n.", self._counted)
            self._counted = len(self._kept) - 2
            self.too_big = self._dots < excess
