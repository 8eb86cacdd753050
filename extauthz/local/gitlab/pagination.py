"""Pages of a REST list, by offset and by key."""

from collections.abc import Sequence
from dataclasses import dataclass

from yarl import URL

from extauthz.local.gitlab.errors import ApiError
from extauthz.local.gitlab.records import Project

LARGEST_PAGE = 100
_DEFAULT_PAGE = 20


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and the headers that lead to the next."""

    projects: Sequence[Project]
    headers: dict[str, str]


def page_of(projects: Sequence[Project], url: URL) -> Page:
    """Cut out the page that the query asks for; raises ApiError.

    The projects come in ascending order of their ids; GitLab's default order is descending.
    """
    ordered = projects if url.query.get("sort") == "asc" else projects[::-1]
    if url.query.get("pagination") == "keyset":
        return _by_key(ordered, url)
    return _by_offset(ordered, url)


def _by_key(projects: Sequence[Project], url: URL) -> Page:
    if url.query.get("order_by") != "id":
        raise ApiError(
            405, {"error": "Keyset pagination is not yet available for this type of request"}
        )
    after, before = _number(url, "id_after", 0), _number(url, "id_before", 0)
    rest = [
        project
        for project in projects
        if project.id > after and (not before or project.id < before)
    ]
    page = rest[: _per_page(url)]
    # The link stands on every page that is not empty, so the last one leads to an empty page
    # (GitLab: REST API, keyset-based pagination).
    if not page:
        return Page(page, {})
    key = "id_after" if url.query.get("sort") == "asc" else "id_before"
    return Page(page, {"Link": _link(url.update_query({key: str(page[-1].id)}), "next")})


def _by_offset(projects: Sequence[Project], url: URL) -> Page:
    per_page, number = _per_page(url), max(_number(url, "page", 1), 1)
    last = max(-(-len(projects) // per_page), 1)
    links = [_at(url, 1, "first"), _at(url, last, "last")]
    if number < last:
        links.insert(0, _at(url, number + 1, "next"))
    if number > 1:
        links.insert(0, _at(url, number - 1, "prev"))
    start = (number - 1) * per_page
    return Page(
        projects[start : start + per_page],
        {
            "Link": ", ".join(links),
            "X-Page": str(number),
            "X-Per-Page": str(per_page),
            "X-Next-Page": str(number + 1) if number < last else "",
            "X-Prev-Page": str(number - 1) if number > 1 else "",
            "X-Total": str(len(projects)),
            "X-Total-Pages": str(last),
        },
    )


def _at(url: URL, number: int, relation: str) -> str:
    return _link(url.update_query({"page": str(number)}), relation)


def _link(url: URL, relation: str) -> str:
    return f'<{url}>; rel="{relation}"'


def _per_page(url: URL) -> int:
    return min(max(_number(url, "per_page", _DEFAULT_PAGE), 1), LARGEST_PAGE)


def _number(url: URL, name: str, default: int) -> int:
    text = url.query.get(name, str(default))
    if not text.isdecimal():
        raise ApiError(400, {"error": f"{name} is invalid"})
    return int(text)
