"""The mint: turns access into signed grants, and signs each access at most once a while."""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from cachetools import TTLCache

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.flights import fresh
from extauthz.edge.refusals import TooManyProjects
from extauthz.edge.settings import Settings
from extauthz.grant import LIFETIME, Grant, GrantSigner, GrantTooLarge, Links, View, Why

# A grant is handed out again only while at least this many seconds of its life are left.
_SPARE: Final = 30
# As many as the caches of access hold: signing takes a third as long as the whole check.
_MOST: Final = 21_000


class Mint:
    """Signs grants for one MLflow."""

    def __init__(
        self,
        settings: Settings,
        signer: GrantSigner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._signer = signer
        # Access compares by identity, so a signed grant never outlives its entry in the cache of
        # access by more than its own lifetime.
        self._signed: TTLCache[ProjectAccess | GlobalAccess | View, str | TooManyProjects] = (
            TTLCache(_MOST, LIFETIME - _SPARE, timer=clock)
        )

    def public(self) -> str:
        """Return the grant for what needs no caller."""
        return self._cached(View.PUBLIC, self._public_grant)

    def for_access(self, access: ProjectAccess | GlobalAccess) -> str:
        """Return the grant for an access; raises TooManyProjects."""
        if isinstance(access, ProjectAccess):
            return self._cached(access, lambda: self._project_grant(access))
        return self._cached(access, lambda: self._global_grant(access))

    def _cached(self, key: ProjectAccess | GlobalAccess | View, make: Callable[[], Grant]) -> str:
        try:
            signed = self._signed[key]
        except KeyError:
            signed = self._signed[key] = self._sign(make())
        if isinstance(signed, TooManyProjects):
            raise fresh(signed)
        return signed

    def _sign(self, grant: Grant) -> str | TooManyProjects:
        """Return the refusal as well: it takes as long to find out as a grant to sign."""
        try:
            return self._signer.sign(grant)
        except GrantTooLarge:
            return TooManyProjects(
                "You can read more projects than one view can show. Open a project instead: "
                f"{self._settings.public_url}/<group>/<project>/tracking/"
            )

    def _public_grant(self) -> Grant:
        return Grant(view=View.PUBLIC, instance=self._settings.instance)

    def _project_grant(self, access: ProjectAccess) -> Grant:
        return Grant(
            view=View.PROJECT,
            instance=self._settings.instance,
            role=access.role,
            why=access.why,
            subject=access.user.subject,
            name=access.user.name,
            project_id=access.project_id,
            project_path=access.project_path,
            links=self._links(access.project_path),
        )

    def _links(self, project: str = "") -> Links:
        home = f"{self._settings.public_url}/"
        if self._settings.sharinghub_url:
            # Its session is none of ours: people end it there.
            return Links(project=self._in_sharinghub(project), home=home)
        logout = f"{home}auth/logout" if self._settings.has_login else ""
        in_gitlab = f"{self._settings.gitlab_url}/{project}" if project else ""
        return Links(project=in_gitlab, home=home, logout=logout)

    def _in_sharinghub(self, project: str) -> str:
        settings = self._settings
        items = (
            f"ui/#/api/stac/collections/{quote(settings.sharinghub_stac_collection, safe='')}/items"
        )
        return f"{settings.sharinghub_url}/{items}/{project}" if project else ""

    def _global_grant(self, access: GlobalAccess) -> Grant:
        return Grant(
            view=View.GLOBAL,
            instance=self._settings.instance,
            why=Why.GLOBAL,
            subject=access.user.subject,
            name=access.user.name,
            links=self._links(),
            projects=access.projects,
        )
