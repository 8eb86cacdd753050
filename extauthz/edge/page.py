"""The page a person sees instead of MLflow when a request is refused."""

from dataclasses import dataclass
from html import escape
from string import Template
from typing import Final

from extauthz.edge.errors import Refusal

# No script, no remote content, no framing: the page only says what happened.
SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Link:
    """A way on, with the words that lead there."""

    text: str
    address: str


_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; background: #f6f8fa; margin: 0 }
  main { max-width: 34rem; margin: 15vh auto 0; padding: 2rem; background: #fff;
         border: 1px solid #d1d9e0; border-radius: 8px }
  h1 { font-size: 1.25rem; margin: 0 0 .75rem }
  p { margin: 0 0 .75rem; overflow-wrap: anywhere }
  a { color: #0b5fbe }
  small { color: #59636e }
</style>
<main>
  <h1>$title</h1>
  <p>$message</p>$link
  <small>$status &middot; request $request</small>
</main>
</html>
""")


def refusal_page(refusal: Refusal, *, request_id: str, link: Link | None = None) -> str:
    """Render a refusal as HTML; every value is escaped."""
    return _PAGE.substitute(
        title=escape(refusal.title),
        message=escape(refusal.message),
        link=_link(link) if link else "",
        status=refusal.status,
        request=escape(request_id or "unknown"),
    )


def _link(link: Link) -> str:
    return f'\n  <p><a href="{escape(link.address)}">{escape(link.text)}</a></p>'
