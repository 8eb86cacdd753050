"""The pages that a person sees where MLflow shows none: HTML without scripts.

Whatever comes from outside passes `escape` in the line that writes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from extauthz.edge.page_style import STYLE, STYLE_DIGEST
from extauthz.edge.refusals import Refusal
from extauthz.origins import frame_ancestors

# Nothing is loaded and nothing runs. Chrome holds form-action against redirects too, so a form of
# ours must be answered by a page of ours.
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; form-action 'self'; base-uri 'none'"
)
# No other site may have people press our buttons.
SECURITY_POLICY: Final = f"{_POLICY}; {frame_ancestors()}"

_NEXT: Final = "Choose a project to see its experiments and models."
_NOTHING: Final = "No project that you can read has anything in MLflow yet."


@dataclass(frozen=True, slots=True)
class Link:
    """A way on, with the words that lead there."""

    text: str
    address: str


def refusal_policy(framed_by: Sequence[str]) -> str:
    """Return the security policy of a refusal that pages of some origins may show in a frame."""
    return f"{_POLICY}; {frame_ancestors(*framed_by)}"


def refusal_page(refusal: Refusal, *, request_id: str, link: Link | None = None) -> str:
    """Say why a request is refused, and the way on if there is one."""
    return _document(
        refusal.title,
        f"<p>{escape(refusal.message)}</p>",
        _actions(_anchor(link, on_top=True)) if link else "",
        f'<p class="quiet foot">Status {refusal.status} &middot; '
        f"Request {escape(request_id or 'unknown')}</p>",
    )


def projects_page(
    *,
    name: str,
    projects: Sequence[Link],
    everything: Link,
    sign_out: str,
    example: str,
    more: str = "",
) -> str:
    """List the projects that have something in MLflow and that the person may read.

    `everything` leads to all of them together, `example` is a tracking URI to begin with, and
    `more` says what the list leaves out.
    """
    return _document(
        "Your projects",
        f"<p>You are signed in as {_person(name)}. {_NEXT if projects else _NOTHING}</p>",
        _listed(projects, everything) if projects else _beginning(example),
        f'<p class="quiet foot">{escape(more)}</p>' if more else "",
        header=_form(sign_out),
    )


def sign_out_page(*, name: str, action: str, home: str) -> str:
    """Ask whether to sign out; only the form does it, so no link of another site can."""
    return _document(
        "Sign out of MLflow?",
        f"<p>You are signed in as {_person(name)}.</p>",
        _actions(_form(action), _anchor(Link("Stay signed in", home))),
    )


def signed_out_page(*, sign_in: Link, provider: Link) -> str:
    """Say that the session here has ended, and that the provider's may go on."""
    there = f'<a href="{escape(provider.address)}" rel="noreferrer">{escape(provider.text)}</a>'
    return _document(
        "You are signed out",
        "<p>MLflow no longer knows you in this browser.</p>",
        _actions(_anchor(sign_in)),
        f'<p class="quiet foot">You may still be signed in to {there} itself. On a shared '
        "computer, sign out there too.</p>",
    )


def _document(title: str, *content: str, header: str = "") -> str:
    main = "\n".join(part for part in content if part)
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{escape(title)} &middot; MLflow</title>
<style>{STYLE}</style>
</head>
<body>
<header><p>MLflow</p>{header}</header>
<main>
<h1>{escape(title)}</h1>
{main}
</main>
</body>
</html>
"""


def _listed(projects: Sequence[Link], everything: Link) -> str:
    entries = "\n".join(f"<li>{_project(project)}</li>" for project in projects)
    # Safari takes a list without bullets for none, unless it is told.
    listed = f'<ul role="list">\n{entries}\n</ul>'
    if len(projects) == 1:
        return listed
    return f'<p class="actions second">{_anchor(everything)}</p>\n{listed}'


def _beginning(example: str) -> str:
    return (
        "<p>To begin, set <code>MLFLOW_TRACKING_TOKEN</code> to a GitLab token, and the tracking "
        f"URI to the address of one of your projects:</p>\n<pre>{_path(example)}</pre>"
    )


def _project(link: Link) -> str:
    group, slash, name = link.text.rpartition("/")
    text = f"<span>{_path(group + slash)}</span>{escape(name)}"
    return f'<a href="{escape(link.address)}">{text}</a>'


def _path(text: str) -> str:
    # Where a line may end.
    return escape(text).replace("/", "/<wbr>")


def _person(name: str) -> str:
    # Isolated, for a name that runs from right to left would turn the words around it.
    return f"<bdi>{escape(name)}</bdi>"


def _form(action: str) -> str:
    return f'<form method="post" action="{escape(action)}"><button>Sign out</button></form>'


def _anchor(link: Link, *, on_top: bool = False) -> str:
    # GitLab's login is shown in no frame.
    target = ' target="_top"' if on_top else ""
    return f'<a href="{escape(link.address)}"{target}>{escape(link.text)}</a>'


def _actions(*ways: str) -> str:
    return f'<div class="actions">{"".join(ways)}</div>'
