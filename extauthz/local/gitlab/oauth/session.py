"""Browser sessions: a cookie, and the user who is signed in with it."""

import secrets
import time

from aiohttp import web

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.records import SignIn
from extauthz.local.gitlab.records import State

COOKIE = "_gitlab_session"


def sign_in_of(instance: Instance, request: web.Request) -> SignIn | None:
    """Return the session of a request, None once its user may no longer sign in."""
    sign_in = instance.oauth.sign_ins.get(request.cookies.get(COOKIE, ""))
    if sign_in is None or instance.users[sign_in.user_id].state is not State.ACTIVE:
        return None
    return sign_in


def begin(instance: Instance, user_id: int, answer: web.Response) -> None:
    """Open a session under a new id."""
    session = secrets.token_hex(16)
    instance.oauth.sign_ins[session] = SignIn(user_id, int(time.time()))
    # Lax keeps other sites from posting a consent in the user's name.
    answer.set_cookie(COOKIE, session, path="/", httponly=True, samesite="Lax")


def end(instance: Instance, request: web.Request) -> None:
    """Forget the session of a request."""
    instance.oauth.sign_ins.pop(request.cookies.get(COOKIE, ""), None)
