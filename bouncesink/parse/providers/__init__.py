"""PURE. What a provider's webhook told: one event, as JSON -> Notice.

One provider a file, by the name that the config has for it. A provider's own class of a bounce is a
guess of another: it is taken, as a status, only where there is neither a text nor a code. What it
did not even send (dropped, suppressed) is no new evidence. An event of a name that is not known is
unreadable: for a person.
"""
