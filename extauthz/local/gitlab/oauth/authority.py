"""What tests and the demo change of OAuth from outside."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from yarl import URL

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.job import Job, job_claims
from extauthz.local.gitlab.oauth.keys import Purpose
from extauthz.local.gitlab.oauth.records import Application
from extauthz.local.gitlab.oauth.tampering import Tampering, tampered
from extauthz.local.gitlab.records import Token, TokenKind, User

SCOPES = ("openid", "profile", "email", "read_user", "api")


class Authority:
    """The changes; `base` is the address under which the caller knows this GitLab."""

    def __init__(self, instance: Instance, base: URL) -> None:
        self._instance = instance
        self._issuer = str(base).rstrip("/")

    def create_application(
        self,
        redirect_uris: tuple[str, ...],
        *,
        scopes: tuple[str, ...] = SCOPES,
        trusted: bool = False,
        name: str = "MLflow",
        client_id: str | None = None,
        secret: str | None = None,
    ) -> Application:
        """Register an application, or register one anew under its client id."""
        application = Application(
            client_id=client_id or secrets.token_hex(32),
            secret=secret or f"gloas-{secrets.token_hex(32)}",
            name=name,
            redirect_uris=redirect_uris,
            scopes=scopes,
            trusted=trusted,
        )
        self._instance.oauth.applications[application.client_id] = application
        return application

    def tamper(self, knobs: Tampering) -> Tampering:
        """Do wrong what the knobs say, and nothing else any more."""
        self._instance.oauth.tampering = knobs
        return knobs

    def rotate_keys(self, *, keep_previous: bool = False) -> dict[str, str]:
        """Sign with new keys; returns their ids."""
        self._instance.oauth.keys.rotate(keep_previous=keep_previous)
        return self._instance.oauth.keys.key_ids()

    def mint_id_token(
        self,
        path: str,
        username: str,
        audience: str | list[str],
        *,
        timeout: int = 3600,
        overrides: dict[str, Any] | None = None,
    ) -> str:
        """Return the id_token of a job that a user started in a project.

        `timeout` is the job's, in seconds. `overrides` replaces claims, and takes away those that
        are None.
        """
        instance = self._instance
        job = Job(instance.project(path), instance.user(username), audience, timeout)
        claims = tampered(job_claims(instance, job, self._issuer), overrides or {})
        return instance.oauth.keys.sign(Purpose.JOB, claims, instance.oauth.tampering)

    def expire_access_tokens(self, username: str) -> None:
        """Let two hours pass for the access tokens of a user; refresh tokens have no end."""
        for token in self._oauth_tokens(self._instance.user(username)):
            self._instance.tokens[token.secret] = replace(token, expires=datetime.now(UTC))

    def revoke_applications(self, username: str) -> None:
        """Revoke all that applications hold of a user, as he can in his preferences."""
        for token in self._oauth_tokens(self._instance.user(username)):
            self._instance.update_token(token.secret, revoked=True)

    def sign_out(self, username: str) -> None:
        """End a user's sessions in every browser; the tokens of applications live on."""
        oauth, user = self._instance.oauth, self._instance.user(username)
        oauth.sign_ins = {
            cookie: each for cookie, each in oauth.sign_ins.items() if each.user_id != user.id
        }

    def _oauth_tokens(self, user: User) -> list[Token]:
        return [
            token
            for token in self._instance.tokens.values()
            if token.kind is TokenKind.OAUTH and token.user_id == user.id
        ]
