"""Dataclasses that are cheap to import behave as those of the standard library."""

import copy
import dataclasses
import inspect
import pickle
import re
from collections.abc import Callable

import pytest

from httpkit._core.light_dataclasses import dataclass, field
from httpkit._core.patterns import pattern


def declared(decorate, field):
    """Return the same classes, made by one decorator or the other."""

    @decorate(frozen=True, slots=True, kw_only=True)
    class Policy:
        """Its words."""

        attempts: int = 3
        statuses: frozenset[int] = frozenset({500})
        on_retry: Callable[[], None] | None = None

        def __post_init__(self):
            if self.attempts < 1:
                raise ValueError("attempts")

    @decorate(slots=True)
    class RetryState:
        name: str
        given: dict[str, int] = field(default_factory=dict)
        wait: float = field(default=0.5, repr=False)

    @decorate(frozen=True, repr=False)
    class Auth:
        user: str

        def __repr__(self):
            return "Auth(***)"

    @decorate(slots=True, eq=False)
    class Delivery:
        session: object

    return Policy, RetryState, Auth, Delivery


OURS = declared(dataclass, field)
THEIRS = declared(dataclasses.dataclass, dataclasses.field)
PAIRS = pytest.mark.parametrize(
    ("ours", "theirs"), [*zip(OURS, THEIRS, strict=True)], ids=lambda kind: kind.__name__
)


def made(kind):
    return kind() if kind.__name__ == "Policy" else kind("a")


@PAIRS
def test_it_is_made_shown_and_documented_alike(ours, theirs):
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert repr(made(ours)) == repr(made(theirs))
    assert ours.__match_args__ == theirs.__match_args__
    assert hasattr(made(ours), "__dict__") == hasattr(made(theirs), "__dict__")
    assert ours.__name__ == theirs.__name__
    assert ours.__qualname__ == theirs.__qualname__


@PAIRS
def test_it_is_compared_and_hashed_alike(ours, theirs):
    assert (made(ours) == made(ours)) is (made(theirs) == made(theirs))
    assert made(ours) != made(theirs)
    assert (ours.__hash__ is None) is (theirs.__hash__ is None)
    if ours.__hash__ is not None and theirs.__eq__ is not object.__eq__:
        assert hash(made(ours)) == hash(made(ours))


@PAIRS
def test_dataclasses_knows_it(ours, theirs):
    pairs = zip(dataclasses.fields(ours), dataclasses.fields(theirs), strict=True)

    assert all(
        (a.name, a.default, a.repr, a.kw_only) == (b.name, b.default, b.repr, b.kw_only)
        for a, b in pairs
    )
    assert dataclasses.is_dataclass(made(ours))
    assert dataclasses.asdict(made(ours)) == dataclasses.asdict(made(theirs))
    assert copy.copy(made(ours)).__class__ is ours


def test_a_frozen_one_cannot_be_changed():
    policy = OURS[0](attempts=5)

    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'attempts'"):
        policy.attempts = 6
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'attempts'"):
        del policy.attempts
    assert dataclasses.replace(policy, statuses=frozenset()).attempts == 5
    with pytest.raises(ValueError, match="attempts"):
        dataclasses.replace(policy, attempts=0)


def test_a_made_default_is_made_each_time():
    first, second = OURS[1]("a"), OURS[1]("a")

    first.given["x"] = 1

    assert second.given == {}


def test_a_frozen_one_without_slots_takes_other_attributes_in_a_subclass():
    class Mine(OURS[2]):
        pass

    mine = Mine("me")
    mine.other = 1
    del mine.other
    with pytest.raises(dataclasses.FrozenInstanceError):
        mine.user = "you"


def test_a_dataclass_may_derive_from_it():
    @dataclasses.dataclass(frozen=True)
    class Longer(OURS[2]):
        realm: str = "all"

    assert Longer("me") == Longer("me", "all")
    assert [each.name for each in dataclasses.fields(Longer)] == ["user", "realm"]


@dataclass(frozen=True, slots=True)
class Pickled:
    size: int


def test_a_frozen_one_with_slots_survives_a_pickle():
    assert pickle.loads(pickle.dumps(Pickled(3))) == Pickled(3)


def test_a_pattern_is_compiled_when_it_is_used():
    broken, name = pattern("("), pattern(r"(\w+)=", re.ASCII)

    assert name.search("a=b")[1] == "a"
    assert name.sub("", "a=b") == "b"
    assert name.flags == re.compile(r"(\w+)=", re.ASCII).flags
    with pytest.raises(re.error):
        broken.search("x")
