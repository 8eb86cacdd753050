"""Signing in: cookies, GitLab's discovery document, and our application there."""

from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.edge.site import Site

_DISCOVERY: Final = "/.well-known/openid-configuration"
_CALLBACK: Final = "/auth/authorize"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri")
# One of them lets GitLab tell what somebody may do.
_TELLING: Final = frozenset({"api", "read_api"})
_OURS: Final = "mlflow-"
_OK: Final = 200
_NOBODY: Final = "nobody signs in with GitLab here"


async def cookies(deployment: Deployment) -> Verdict:
    """See whether scripts, other sites and sibling domains are kept from our cookies."""
    found = [cookie for cookie in (await deployment.way_in()).cookies if _OURS in cookie]
    if not found:
        return untested("/auth/login sets no cookie of ours")
    wrong = sorted({fault for cookie in found for fault in faults_of(cookie, deployment.site)})
    if wrong:
        return failed(
            f"a cookie of a login: {', '.join(wrong)}",
            f"Set PUBLIC_URL of the edge to {deployment.public_url}, and let no proxy rewrite "
            "Set-Cookie.",
        )
    return passed(f"{found[0].partition('=')[0].rpartition('-')[0]}-... has all it needs")


async def discovery(deployment: Deployment) -> Verdict:
    """See whether GitLab says where to sign in, and is who it is taken for."""
    base = await deployment.gitlab_url()
    if not base:
        return untested(_NOBODY if deployment.sharinghub else "GitLab's address is not known")
    answer = await deployment.wire.ask("GET", f"{base}{_DISCOVERY}")
    document = answer.json
    if answer.status != _OK or not isinstance(document, dict):
        return failed(f"{base}{_DISCOVERY}: {answer.short}", "Set GITLAB_URL to GitLab's address.")
    if str(document.get("issuer", "")).rstrip("/") != base:
        return failed(
            f"GitLab calls itself {document.get('issuer')}, and not {base}",
            "Set GITLAB_URL to what GitLab calls itself, or external_url of GitLab to GITLAB_URL.",
        )
    if strange := [name for name in _ENDPOINTS if not _is_below(document, name, base)]:
        return failed(f"not below {base}: {', '.join(strange)}", "Mend GitLab's external_url.")
    return passed(f"{base} says where to sign in")


async def request(deployment: Deployment) -> Verdict:
    """See whether a login is begun as it should be: our callback, PKCE, state and nonce."""
    asked = await _asked(deployment)
    if asked is None:
        return untested(_NOBODY)
    wanted = f"{deployment.public_url}{_CALLBACK}"
    if asked.get("redirect_uri") != wanted:
        return failed(
            f"GitLab is told to send people to {asked.get('redirect_uri')}",
            f"Set PUBLIC_URL of the edge to {deployment.public_url}, and register {wanted} as the "
            "application's callback.",
        )
    weak = [name for name in ("state", "nonce", "code_challenge") if not asked.get(name)]
    if weak or asked.get("code_challenge_method") != "S256":
        return failed(
            "a login is begun without state, nonce or PKCE", "Let no proxy rewrite Location."
        )
    return passed(f"a login comes back to {wanted}, with PKCE, state and nonce")


async def scopes(deployment: Deployment) -> Verdict:
    """See whether the scopes that are asked for are enough, and GitLab has them."""
    asked, base = await _asked(deployment), await deployment.gitlab_url()
    if asked is None:
        return untested(_NOBODY)
    wanted = set(asked.get("scope", "").split())
    if "openid" not in wanted or not wanted & _TELLING:
        return failed(
            f"a login asks for {' '.join(sorted(wanted))}",
            "Have GITLAB_OAUTH_SCOPES contain openid, and api or read_api.",
        )
    document = (await deployment.wire.ask("GET", f"{base}{_DISCOVERY}")).json
    known = document.get("scopes_supported") if isinstance(document, dict) else None
    if not isinstance(known, list):
        return untested("GitLab does not say which scopes it has: see `OIDC discovery`")
    if missing := sorted(wanted.difference(known)):
        return failed(
            f"GitLab does not know the scopes {' '.join(missing)}",
            "Correct GITLAB_OAUTH_SCOPES.",
        )
    # GitLab checks them against the application's only once somebody is signed in.
    return passed(
        f"a login asks for {' '.join(sorted(wanted))}; the application must allow them all"
    )


async def application(deployment: Deployment) -> Verdict:
    """See whether GitLab knows our application: a made-up code is refused only after that."""
    known, base = deployment.application, deployment.gitlab
    if known is None or not base:
        return untested(
            "the application's secret is not known here",
            "Run it where the edge's settings are, or name them with --env-file.",
        )
    form = {
        "grant_type": "authorization_code",
        "code": "doctor",
        "client_id": known.id,
        "redirect_uri": f"{deployment.public_url}{_CALLBACK}",
        "client_secret": known.secret.get_secret_value(),
    }
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    body = urlencode(form).encode()
    answer = await deployment.wire.ask("POST", f"{base}/oauth/token", headers, body)
    match answer.json:
        case {"error": "invalid_grant"}:
            return passed("GitLab knows the application and its secret")
        case {"error": "invalid_client" | "unauthorized_client" as error}:
            return failed(
                f"GitLab says {error}: it knows no such application, or another secret",
                "Copy GITLAB_OAUTH_CLIENT_ID and GITLAB_OAUTH_CLIENT_SECRET from the application.",
            )
        case _:
            return untested(f"GitLab answers {answer.status} to a made-up code")


def faults_of(cookie: str, site: Site) -> list[str]:
    """Return what is wrong with a Set-Cookie value of ours."""
    pair, *attributes = (part.strip() for part in cookie.split(";"))
    given = {name.lower(): value for name, _, value in (part.partition("=") for part in attributes)}
    faults = []
    if "httponly" not in given:
        faults.append("no HttpOnly")
    if given.get("samesite", "").lower() not in ("lax", "strict"):
        faults.append("no SameSite")
    if site.secure is not ("secure" in given):
        faults.append("no Secure" if site.secure else "Secure under plain http")
    # Browsers take this prefix from the host itself alone (RFC 6265bis, 4.1.3.2).
    if site.secure and not site.prefix and not pair.startswith("__Host-"):
        faults.append("no __Host- before its name")
    if given.get("path") != f"{site.prefix}/":
        faults.append(f"Path={given.get('path')}")
    if "domain" in given:
        faults.append("a Domain")
    return faults


async def _asked(deployment: Deployment) -> dict[str, str] | None:
    """Return the parameters of GitLab's authorization endpoint, None if people do not go there."""
    address = urlsplit((await deployment.way_in()).location)
    if deployment.sharinghub or not address.path.endswith("/oauth/authorize"):
        return None
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def _is_below(document: dict[str, Any], name: str, base: str) -> bool:
    return str(document.get(name, "")).startswith(f"{base}/")


PROBES: Final[Probes] = {
    "cookie attributes": cookies,
    "OIDC discovery": discovery,
    "OIDC request": request,
    "OAuth scopes": scopes,
    "OAuth application": application,
}
