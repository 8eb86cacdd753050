"""The pages a browser meets: signing in, consent, and what went wrong."""

from collections.abc import Iterable, Mapping
from html import escape

from aiohttp import web

from extauthz.local.gitlab.oauth.errors import OAuthError
from extauthz.local.gitlab.oauth.records import Application
from extauthz.local.gitlab.records import User

_HEADERS = {
    "Cache-Control": "no-store",
    # No form-action: Chrome would apply it to the redirect back to the application as well.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 26rem; margin: 12vh auto; padding: 0 1rem }
button { display: block; width: 100%; margin: .5rem 0; padding: .6rem; font: inherit }
small { opacity: .75 }
"""


def sign_in_page(users: Iterable[User], return_to: str, alert: str = "") -> web.Response:
    """Return the choice of users; with an alert it is a refused attempt."""
    buttons = "".join(
        f'<button name="username" value="{escape(user.username)}">'
        f"{escape(user.name)} <small>{escape(user.username)}</small></button>"
        for user in users
    )
    note = f'<p role="alert">{escape(alert)}</p>' if alert else ""
    return _page(
        "Sign in",
        f"{note}<p>This GitLab is a demo and asks for no password. Who are you?</p>"
        f'<form method="post" action="/users/sign_in">{_hidden({"return_to": return_to})}'
        f"{buttons}</form>",
        status=422 if alert else 200,
    )


def consent_page(application: Application, user: User, query: Mapping[str, str]) -> web.Response:
    """Return the question whether an application may act for a user."""
    scopes = "".join(f"<li>{escape(scope)}</li>" for scope in query.get("scope", "api").split())
    name = escape(application.name)
    fields = _hidden({name: value for name, value in query.items() if name != "_method"})
    return _page(
        f"Authorize {application.name}?",
        f"<p>{name} wants to use the account of <b>{escape(user.username)}</b> with:</p>"
        f"<ul>{scopes}</ul>"
        f'<form method="post" action="/oauth/authorize">{fields}<button>Authorize</button></form>'
        f'<form method="post" action="/oauth/authorize">{fields}{_hidden({"_method": "delete"})}'
        "<button>Deny</button></form>",
    )


def home_page(user: User) -> web.Response:
    """Return what somebody sees who is signed in and on the way to nowhere."""
    return _page(
        "Demo GitLab",
        f"<p>You are signed in as <b>{escape(user.username)}</b>.</p>"
        '<form method="post" action="/users/sign_out"><button>Sign out</button></form>',
    )


def error_page(error: OAuthError) -> web.Response:
    """Return what GitLab shows instead of going back to the application, with its status."""
    return _page("An error has occurred", f'<p role="alert">{escape(error.description)}</p>')


def _page(title: str, body: str, status: int = 200) -> web.Response:
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} · Demo GitLab</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
