"""The programs that may be run, and the environment that they get."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from corral.errors import ConfigError, PayloadError, closest
from corral.handlers.pipelines.settings import PipelineSettings
from corral.handlers.pipelines.texts import shown

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}")
#: Programs whose whole purpose is to run others: allowing one allows everything. An absolute path says it is meant.
_OPENERS = frozenset(
    "sh bash dash zsh ksh fish csh tcsh busybox env xargs find sudo su doas ssh scp git nohup timeout nice setsid "
    "watch script expect parallel".split()
)
#: What a program reads before it begins and runs as code. A wildcard of the operator's does not reach them.
_HOOKS = re.compile(
    r"LD_.*|DYLD_.*|GIT_.*|SSH_.*|PYTHON.*|PERL.*|RUBY.*|NODE_.*|NPM_.*|BASH.*|ENV|IFS|PATH|HOME|SHELL|CDPATH|PS4|"
    r"PROMPT_COMMAND|MAKEFLAGS|MFLAGS|GNUMAKEFLAGS|MAKEFILES|CC|CXX|LD|AR|EDITOR|VISUAL|PAGER|LESSOPEN|LESSCLOSE|"
    r"JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|GCONV_PATH|LOCPATH|TERMINFO.*|TMPDIR|RUSTC.*|CARGO_.*|GO.*|"
    r"PIP_.*|UV_.*|MAVEN_.*|GRADLE_.*|CORRAL_.*"
)


class Programs:
    """Which programs commands may name, each with the file that it is.

    Args:
        own: programs of the application's own, name -> absolute path, beside those of the settings.

    Raises:
        ConfigError: a program that is not there, or one that would run anything.
    """

    def __init__(self, settings: PipelineSettings, own: Mapping[str, str | Path]) -> None:
        self._path = settings.pipeline_path
        found = dict(self._find(word) for word in settings.pipeline_programs)
        for key, path in own.items():
            if not _PLAIN.fullmatch(key):
                raise ConfigError(f"program {key!r} must have a plain name", key="programs")
            found[key] = _executable(Path(path))
        self.files: Mapping[str, str] = found

    def __repr__(self) -> str:
        return f"<programs: {', '.join(sorted(self.files)) or 'none'}>"

    def file(self, program: str) -> str:
        """The file behind a name. Raises: PayloadError: it is not among them."""
        if program in self.files:
            return self.files[program]
        near = closest(program, self.files)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(self.files)) or 'none'}"
        raise PayloadError(f"program {shown(program)} is not allowed: PIPELINE_PROGRAMS names those that are; {hint}")

    def _find(self, word: str) -> tuple[str, str]:
        if "/" in word:
            return Path(word).name, _executable(Path(word))
        if not _PLAIN.fullmatch(word):
            raise ConfigError(f"program {word!r} must be a plain name or an absolute path", key="pipeline_programs")
        if word in _OPENERS:
            raise ConfigError(
                f"program {word!r} runs any other program by its arguments, so it would allow everything; allow a "
                "script of your own, or give its absolute path if you mean it",
                key="pipeline_programs",
            )
        file = shutil.which(word, path=self._path)
        if file is None:
            raise ConfigError(f"program {word!r} is not on {self._path}", key="pipeline_programs")
        return word, file


def _executable(path: Path) -> str:
    if not path.is_absolute() or not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigError(f"program {str(path)!r} must be the absolute path of a program", key="pipeline_programs")
    return str(path)


def check_env(given: Mapping[str, str], settings: PipelineSettings) -> None:
    """Whether a payload may set these variables. Raises: PayloadError."""
    for key in given:
        exact = key in settings.pipeline_env
        wide = any(word.endswith("*") and key.startswith(word[:-1]) for word in settings.pipeline_env)
        if not exact and (not wide or _HOOKS.fullmatch(key)):
            raise PayloadError(f"environment variable {key!r} is not allowed: PIPELINE_ENV names those that are")


def base_env(settings: PipelineSettings, secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    """What every command gets. The worker's own environment stays out: it has passwords in it."""
    return {
        "PATH": settings.pipeline_path,
        "LANG": "C.UTF-8",
        "CI": "true",
        # Whatever runs git inside of a command: no other transports, no questions, no configuration of this machine.
        "GIT_ALLOW_PROTOCOL": "https:ssh",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{key: secret.get_secret_value() for key, secret in secrets.items()},
    }
