"""OpenID Connect with GitLab: the calls of a login, of a refresh and of a logout."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7009 import prepare_revoke_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import SecretStr

from extauthz.edge.discovery import Discovery
from extauthz.edge.handshake import Handshake
from extauthz.edge.id_token import mistrusted, user_in
from extauthz.edge.jwks import BadToken, SigningKeys
from extauthz.edge.operations import Operation
from extauthz.edge.outage import Outage
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, Unavailable
from extauthz.edge.session import Tokens
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Answer, Call, Upstream

# GitLab (Doorkeeper): access tokens live for two hours, and say so.
_SECONDS_AT_MOST: Final = 86_400
# So long before its end a token is due for a new one, but never in the first half of its life.
_SECONDS_AHEAD: Final = 300


class LoginRefused(Exception):  # noqa: N818 - named for what happened
    """GitLab does not take the code or the refresh token: it is used up, revoked or too old."""


@dataclass(frozen=True, slots=True)
class Client:
    """Our application at GitLab. `callback` is where GitLab sends people back to."""

    id: str
    secret: SecretStr
    scopes: str
    callback: str


class Oidc:
    """Asks GitLab on behalf of our application."""

    def __init__(
        self,
        upstream: Upstream,
        keys: SigningKeys,
        client: Client,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`upstream` must not reuse connections: its calls are not made twice."""
        self._upstream = upstream
        self._keys = keys
        self._client = client
        self._wall = wall
        self._discovery = Discovery(upstream, clock=clock)
        self._log = structlog.get_logger("extauthz.oidc")

    @property
    def issuer(self) -> str:
        """How GitLab calls itself."""
        return self._upstream.base

    async def authorization_url(self, asked: Handshake) -> str:
        """Return where a browser goes to sign in; raises Unavailable."""
        endpoints = await self._discovery.endpoints()
        return str(
            prepare_grant_uri(
                endpoints.authorization,
                self._client.id,
                "code",
                redirect_uri=self._client.callback,
                scope=self._client.scopes,
                state=asked.state,
                nonce=asked.nonce,
                code_challenge=create_s256_code_challenge(asked.verifier),
                code_challenge_method="S256",
            )
        )

    async def redeem(self, code: str, asked: Handshake) -> tuple[User, Tokens]:
        """Exchange a code for tokens.

        Raises LoginRefused, Forbidden for an answer that is not to be trusted, Unavailable.
        """
        # Nobody knows who it will be, so all of them count as one where GitLab fails.
        body = await self._tokens(
            Operation.LOGIN,
            "authorization_code",
            Line.STRANGERS,
            who="login",
            code=code,
            code_verifier=asked.verifier,
        )
        tokens = self._read(body)
        try:
            claims = await self._keys.verified(str(body.get("id_token", "")))
        except BadToken:
            raise mistrusted("its signature is not GitLab's") from None
        user = user_in(
            claims,
            issuer=self.issuer,
            client_id=self._client.id,
            nonce=asked.nonce,
            access_token=tokens.access.get_secret_value(),
            now=self._wall(),
        )
        return user, tokens

    async def refresh(self, token: SecretStr) -> Tokens:
        """Exchange a refresh token, which ends with it; raises LoginRefused, Unavailable."""
        return self._read(
            await self._tokens(
                Operation.REFRESH,
                "refresh_token",
                Line.CHECKS,
                who=hash(token.get_secret_value()),
                refresh_token=token.get_secret_value(),
            )
        )

    async def revoke(self, token: SecretStr) -> None:
        """Have GitLab forget a token and its pair (RFC 7009); raises Unavailable."""
        endpoints = await self._discovery.endpoints()
        await self._use(token)
        form, _ = prepare_revoke_token_request(
            token.get_secret_value(), body=urlencode(self._credentials)
        )
        who = hash(token.get_secret_value())
        answer = await self._upstream.ask(
            Call(Operation.REVOKE, endpoints.revocation, {}, form=form, who=who)
        )
        if answer.status != HTTPStatus.OK:
            raise self._unusable(answer)

    async def _use(self, token: SecretStr) -> None:
        """Use a token, by which GitLab ends the pair that it was refreshed from (Doorkeeper)."""
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        who = hash(token.get_secret_value())
        await self._upstream.ask(Call(Operation.REVOKE, "/oauth/token/info", headers, who=who))

    async def close(self) -> None:
        """End the questions under way."""
        await self._discovery.close()

    @property
    def _credentials(self) -> dict[str, str]:
        return {
            "client_id": self._client.id,
            "client_secret": self._client.secret.get_secret_value(),
        }

    async def _tokens(
        self, operation: Operation, grant_type: str, line: Line, who: Hashable, **parameters: str
    ) -> Mapping[str, Any]:
        endpoints = await self._discovery.endpoints()
        form = prepare_token_request(
            grant_type, redirect_uri=self._client.callback, **self._credentials, **parameters
        )
        answer = await self._upstream.ask(
            Call(operation, endpoints.token, {}, form=form, line=line, who=who)
        )
        match answer.status, answer.body:
            case HTTPStatus.OK, dict(body):
                return body
            case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED, {"error": "invalid_grant"}:
                raise LoginRefused
            case _:
                raise self._unusable(answer)

    def _read(self, body: Mapping[str, Any]) -> Tokens:
        match body:
            case {
                "access_token": str(access),
                "refresh_token": str(refresh),
                "token_type": str(kind),
                "expires_in": int(seconds),
            } if access and refresh and kind.lower() == "bearer" and seconds > 0:
                ends = self._wall() + min(seconds, _SECONDS_AT_MOST)
                due = ends - min(_SECONDS_AHEAD, seconds / 2)
                return Tokens(SecretStr(access), SecretStr(refresh), due, ends)
        raise Outage("GitLab gave an answer that could not be understood.")

    def _unusable(self, answer: Answer) -> Unavailable:
        """Tell the operator of a refusal that is about our application and not about anybody."""
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        self._log.error("oidc.refused", status=answer.status, error=_known(error))
        return Outage(
            "GitLab does not let this application sign people in. Tell your administrator."
        )


def refusal_of(error: str) -> Forbidden:
    """Return what an error that GitLab has sent a browser back with means (RFC 6749, 4.1.2.1)."""
    if error == "access_denied":
        return Forbidden(
            "You did not allow MLflow to use your GitLab account, so nobody signed in."
        )
    return Forbidden(
        "GitLab did not let you sign in. Try again, and tell your administrator if it stays like "
        "this."
    )


def _known(error: object) -> str:
    """Return an error of RFC 6749; anything else could quote what was sent."""
    known = {"invalid_client", "invalid_request", "invalid_scope", "unauthorized_client"}
    return error if isinstance(error, str) and error in known else "other"
