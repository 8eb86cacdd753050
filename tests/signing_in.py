"""Somebody who has signed in, and calls MLflow as its page does in his browser.

ann = signed_in(stack, "ann", f"/{project.path}/tracking")
assert ann.call("POST experiments/create", name="churn").status == 200
"""

from tests.caller import Caller
from tests.servers.stack import Stack
from tests.visitor import Visitor


def signed_in(stack: Stack, user: str, prefix: str = "") -> Caller:
    """Sign a user in at GitLab; returns who calls with the session, in the view at a prefix.

    The edge has asked GitLab for no permission of his yet.
    """
    visitor = Visitor(stack, user)
    # Not on to the page behind it, which would ask.
    visitor.open(visitor.sign_in(visitor.begin()))
    assert visitor.session
    return in_session_of(visitor, prefix)


def in_session_of(visitor: Visitor, prefix: str = "") -> Caller:
    """Return who calls with the cookie that a browser holds now."""
    page = (
        ("Cookie", f"{visitor.session_cookie}={visitor.session}"),
        ("Origin", visitor.site.origin),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "cors"),
    )
    return Caller(visitor.stack.envoy.port, prefix, page)
