import pytest

from extauthz.levels import Role, role_of


@pytest.mark.parametrize(
    ("level", "role"),
    [
        (0, None),
        (5, None),
        (9, None),
        (10, Role.READ),
        (15, Role.READ),
        (20, Role.READ),
        (25, Role.READ),
        (29, Role.READ),
        (30, Role.WRITE),
        (40, Role.WRITE),
        (50, Role.WRITE),
        (60, Role.WRITE),
        (-1, None),
    ],
)
def test_levels_are_compared_and_never_looked_up(level: int, role: Role | None) -> None:
    assert role_of(level) is role
