"""Who may see the page and who may act: users and their passwords, sessions, and the guard.

A person logs in with a name and a password of the file `web.users`, or comes by a web server in
front that has seen to it and names the person in the field `web.proxy_user`. A program that asks
the gate has a token instead: see `bouncesink.web.tokens`.
"""
