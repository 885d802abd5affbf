"""Claims: what a signed token or a proxy says about somebody, as roles and queues of ours."""

from collections.abc import Iterable, Mapping

from corral.admin.rights import ROLES, check_globs
from corral.errors import ConfigError

#: Where a role is looked for when settings do not say.
PLACES = ("role", "roles", "scope")


def roles_in(claims: Mapping[str, object], path: str, names: Mapping[str, str], default: str | None) -> tuple[str, ...]:
    """The roles that claims give: by `path` (`realm_access.roles`), or in `role`, `roles` and `scope`."""
    places = (path,) if path else PLACES
    words = [word for place in places for word in _words(_at(claims, place))]
    return roles_of(words, names, default)


def roles_of(words: Iterable[str], names: Mapping[str, str], default: str | None) -> tuple[str, ...]:
    """The roles that words mean, in whatever case; unknown words mean none.

    Args:
        names: what is called otherwise elsewhere, in lower case -> role.
    """
    found = [names.get(word.lower(), word.lower()) for word in words]
    known = tuple(dict.fromkeys(role for role in found if role in ROLES))
    return known or (() if default is None else (default,))


def queues_in(claims: Mapping[str, object], path: str) -> tuple[str, ...]:
    """The patterns of the queues that somebody may see; every queue when nothing is said.

    Raises:
        ConfigError: something is said that is no list of patterns. It must not be taken for everything.
    """
    found = _at(claims, path) if path else None
    if found is None:
        return ("*",)
    words = _words(found)
    if not isinstance(found, str | list) or len(words) != len(found if isinstance(found, list) else words):
        raise ConfigError("queues must be a list of patterns", key="queues")
    return check_globs(words)


def _at(claims: Mapping[str, object], path: str) -> object:
    if path in claims:  # names such as https://example.com/roles have dots of their own
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
