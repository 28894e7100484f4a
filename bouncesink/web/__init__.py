"""What bouncesink answers over HTTP: one aiohttp application in a thread and event loop of its own.

To add routes, write a module here with

    def routes(context: AppContext) -> list[web.RouteDef]:
        async def one(request: web.Request) -> web.Response: ...
        return [web.get("/things/{id}", one)]

and name it in `ROUTES` of `bouncesink.web.server`. `web.get` answers HEAD, too.

- The loop is the web's alone, so a slow handler delays no LMTP, but every other request: read the
  ledger with `await context.ledgers.read(lambda ledger: ...)`, in a thread of a small pool, or, for
  a row or two by key, from `context.ledgers.quick`. Both are for reading only.
- `await context.submit(arrivals)` returns when they are committed: answer 2xx only after it. It
  raises LedgerError, which becomes 503.
- Raise `web.HTTPException`, `InputError` (400) or `LedgerError` (503); whatever else is raised is
  logged and becomes 500. All become `{"error": "..."}`; who wants a page returns one.
- Bodies over `web.max_body_size`, and compressed ones, are refused before a handler runs; a whole
  request has `web.timeout` seconds. Headers for security are set unless the handler set them: a
  page with a style of its own sets Content-Security-Policy.
- What is logged and counted of a request is the route's template, as in /things/{id}, never the
  path or the query: they may hold secrets.
"""

from importlib.util import find_spec

from bouncesink.errors import ConfigError


def require() -> None:
    """Raise ConfigError unless the packages of the extra `web` are there."""
    if find_spec("aiohttp") is None:
        raise ConfigError(
            "web.listen is set, but what the web server needs is not installed: "
            "pip install 'bouncesink[web]'"
        )
