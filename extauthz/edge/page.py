"""The page a person sees instead of MLflow when a request is refused."""

from html import escape
from string import Template
from typing import Final

from extauthz.edge.errors import Refusal

# No script, no remote content, no framing: the page only says what happened.
SECURITY_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

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
  small { color: #59636e }
</style>
<main>
  <h1>$title</h1>
  <p>$message</p>
  <small>$status &middot; request $request</small>
</main>
</html>
""")


def refusal_page(refusal: Refusal, *, request_id: str) -> str:
    """Render a refusal as HTML; every value is escaped."""
    return _PAGE.substitute(
        title=escape(refusal.title),
        message=escape(refusal.message),
        status=refusal.status,
        request=escape(request_id or "unknown"),
    )
