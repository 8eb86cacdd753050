import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.policy import Policy, Verdict, verdict_on, within_reach
from extauthz.edge.provider import Project, Reach, Visibility
from extauthz.grant import Why
from extauthz.levels import Role

WRITES = Verdict(Role.WRITE)
VISITS = Policy(visitors_read=True)


def _project(
    level: int,
    *,
    topics: tuple[str, ...] = (),
    archived: bool = False,
    visibility: Visibility = Visibility.PRIVATE,
) -> Project:
    return Project(
        id=42,
        path="acme/vision",
        level=level,
        topics=frozenset(topics),
        archived=archived,
        visibility=visibility,
    )


@pytest.mark.parametrize("level", [10, 15, 20, 25, 29])
def test_guests_and_those_below_developer_read(level: int) -> None:
    assert verdict_on(_project(level), Policy()) == Verdict(Role.READ, Why.GUEST)


@pytest.mark.parametrize("level", [30, 35, 40, 50, 60])
def test_developers_and_those_above_write(level: int) -> None:
    assert verdict_on(_project(level), Policy()) == WRITES


@pytest.mark.parametrize("level", [0, 5, 9])
@pytest.mark.parametrize("visibility", Visibility)
def test_who_is_no_member_sees_nothing(level: int, visibility: Visibility) -> None:
    assert verdict_on(_project(level, visibility=visibility), Policy()) is None


@pytest.mark.parametrize("visibility", [Visibility.PUBLIC, Visibility.INTERNAL])
@pytest.mark.parametrize("archived", [True, False])
def test_visitors_read_where_the_operator_lets_them(
    visibility: Visibility, *, archived: bool
) -> None:
    project = _project(0, visibility=visibility, archived=archived)

    assert verdict_on(project, VISITS) == Verdict(Role.READ, Why.VISITOR)


def test_visitors_never_see_a_private_project() -> None:
    # GitLab shows one to its administrators, who may be no members.
    assert verdict_on(_project(0), VISITS) is None


@pytest.mark.parametrize("level", [10, 30, 50])
def test_an_archived_project_is_read_only(level: int) -> None:
    verdict = verdict_on(_project(level, archived=True), Policy())

    assert verdict == Verdict(Role.READ, Why.ARCHIVED)


@pytest.mark.parametrize(
    ("topics", "visible"),
    [
        (("mlflow", "gpu"), True),
        (("mlflow", "gpu", "other"), True),
        (("mlflow",), False),
        (("MLflow", "gpu"), False),
        ((), False),
    ],
)
def test_every_mandatory_topic_must_be_there_in_its_exact_case(
    topics: tuple[str, ...], *, visible: bool
) -> None:
    policy = Policy(mandatory_topics=frozenset({"mlflow", "gpu"}), visitors_read=True)

    for level, visibility in ((50, Visibility.PRIVATE), (0, Visibility.PUBLIC)):
        project = _project(level, topics=topics, visibility=visibility)
        assert (verdict_on(project, policy) is not None) is visible


def test_a_token_that_cannot_write_reads() -> None:
    assert within_reach(WRITES, Reach(writes=False)) == Verdict(Role.READ, Why.TOKEN)
    assert within_reach(WRITES, Reach(writes=True)) == WRITES


@given(why=st.sampled_from([Why.GUEST, Why.ARCHIVED, Why.VISITOR]), writes=st.booleans())
def test_who_only_reads_anyway_keeps_the_reason(why: Why, *, writes: bool) -> None:
    verdict = Verdict(Role.READ, why)

    assert within_reach(verdict, Reach(writes=writes)) == verdict
