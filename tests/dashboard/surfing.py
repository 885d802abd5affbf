"""A reader of pages without scripts: it follows links, fills in forms and presses their buttons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "path", "circle", "rect", "line",
        "polyline", "polygon"}  # fmt: skip


@dataclass
class Form:
    """A form as it stands on the page."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  #: name, value, text


class Page(HTMLParser):
    """An answer, read."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.answer = answer
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []  #: address, text
        self.text = ""
        self.headings: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self._form: Form | None = None
        self._catch: list[str] | None = None
        self._select = ""
        self._area: tuple[str, list[str]] | None = None
        self.feed(answer.text)
        self.close()

    @property
    def status(self) -> int:
        return self.answer.status_code

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").upper())
            self.forms.append(self._form)
        elif tag in ("a", "button", "h1"):
            self._catch = []
            if tag == "a":
                self.links.append((given.get("href", ""), ""))
            elif tag == "button" and self._form is not None:
                self._form.buttons.append((given.get("name", ""), given.get("value", ""), ""))
        if self._form is not None:
            self._field(tag, given)

    def _field(self, tag: str, given: Mapping[str, str]) -> None:
        assert self._form is not None
        if tag == "input" and given.get("name"):
            ticked = given.get("type") not in ("checkbox", "radio") or "checked" in given
            if ticked:
                self._form.fields.append((given["name"], given.get("value", "")))
        elif tag == "select":
            self._select = given.get("name", "")
        elif tag == "option" and self._select:
            known = [name for name, _ in self._form.fields]
            if "selected" in given or self._select not in known:
                self._form.fields = [pair for pair in self._form.fields if pair[0] != self._select]
                self._form.fields.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._area = (given.get("name", ""), [])

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        caught = " ".join("".join(self._catch or ()).split())
        if tag == "a" and self.links:
            self.links[-1] = (self.links[-1][0], caught)
        elif tag == "button" and self._form is not None and self._form.buttons:
            name, value, _ = self._form.buttons[-1]
            self._form.buttons[-1] = (name, value, caught)
        elif tag == "h1":
            self.headings.append(caught)
        elif tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None and self._form is not None:
            self._form.fields.append((self._area[0], "".join(self._area[1]).removeprefix("\n")))
            self._area = None
        if tag in ("a", "button", "h1"):
            self._catch = None

    def handle_data(self, data: str) -> None:
        if self._catch is not None:
            self._catch.append(data)
        if self._area is not None:
            self._area[1].append(data)
        if "script" not in self._open and "style" not in self._open:
            self.text += data

    @property
    def words(self) -> str:
        """What can be read, in one line."""
        return " ".join(self.text.split())

    def link(self, text: str) -> str:
        """The address of the link with this text."""
        for address, said in self.links:
            if said == text:
                return address
        raise AssertionError(f"no link {text!r} among {[said for _, said in self.links]}")

    def has_button(self, text: str) -> bool:
        return any(said == text for form in self.forms for _, _, said in form.buttons)


class Surfer:
    """Somebody with a browser that runs no scripts."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, address: str, **headers: str) -> Page:
        """Go to an address, wherever it leads."""
        return Page(await self._client.get(address, headers=headers, follow_redirects=True))

    async def follow(self, page: Page, text: str) -> Page:
        """Click on a link."""
        return await self.get(urljoin(str(page.answer.url), page.link(text)))

    async def press(self, page: Page, text: str, **changes: str | list[str]) -> Page:
        """Fill in the form of this button, and press it."""
        for form in page.forms:
            for name, value, said in form.buttons:
                if said == text:
                    return await self._send(page, form, (name, value), changes)
        raise AssertionError(f"no button {text!r} among {[b[2] for f in page.forms for b in f.buttons]}")

    async def _send(
        self, page: Page, form: Form, button: tuple[str, str], changes: Mapping[str, str | list[str]]
    ) -> Page:  # fmt: skip
        pairs = [pair for pair in form.fields if pair[0] not in changes]
        for name, given in changes.items():
            pairs += [(name, one) for one in ([given] if isinstance(given, str) else given)]
        pairs += [button] if button[0] else []
        data: dict[str, list[str]] = {}
        for name, value in pairs:
            data.setdefault(name, []).append(value)
        address = urljoin(str(page.answer.url), form.action)
        if form.method == "GET":
            return Page(await self._client.get(address, params=data, follow_redirects=True))
        headers = {"Sec-Fetch-Site": "same-origin"}
        return Page(await self._client.post(address, data=data, headers=headers, follow_redirects=True))
