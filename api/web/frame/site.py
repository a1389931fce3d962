"""The registry of pages. Navigation, authorisation, routes and the browser tests all read it.

A page is an entry of its site's `pages`, a function that loads its data, and a template. The template shows
what the function returns, and a request with `Accept: application/json` gets the same. So it holds JSON values only,
and every hidden number in it is masked.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from api.http.dependencies import DEPENDENCIES, Dependencies
from api.web.frame.services import WEB, WebServices
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs, Timestamp
from engine.domain.web_access import Role, WebSession


@dataclass(frozen=True, slots=True)
class Site:
    """Pages with one kind of session.

    Attributes:
        name: One word, also in the security log, such as `Console`.
        title: Its name for people.
        prefix: The path that all its paths begin with, such as `/console`.
        roles: The roles that its sessions may have.
        cookie: The name of the session's cookie.
        pages: The pages, in the order of the navigation. The first one is the start.
        actions: What changes something.
        streams: Server-sent events.
        frame_origin: Returns the origin whose pages may show those of an account in a frame, or None. Without it, no
            page may.
        has_shell: Whether its people can use the command line.
    """

    name: str
    title: str
    prefix: str
    roles: frozenset[Role]
    cookie: str
    pages: tuple["Page", ...]
    actions: tuple["Action", ...] = ()
    streams: tuple["Stream", ...] = ()
    frame_origin: Callable[[web.Request, AccountId], Awaitable[str | None]] | None = None
    has_shell: bool = True


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person or program that is signed in.

    Attributes:
        session: The session.
        csrf: The token that the session's forms carry.
        at: The present time.
        address: The client's IP address.
    """

    request: web.Request
    site: Site
    session: WebSession
    csrf: str
    at: Timestamp
    address: str

    @property
    def deps(self) -> Dependencies:
        """What the API has."""
        return self.request.app[DEPENDENCIES]

    @property
    def services(self) -> WebServices:
        """What web pages have in addition."""
        return self.request.app[WEB]

    @property
    def now(self) -> EpochMs:
        """The present time in epoch milliseconds."""
        return self.at.wall_ms

    def may(self, role: Role) -> bool:
        """Returns whether the session may do what `role` may."""
        return self.session.role.permits(role)


Load = Callable[[Visit], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        path: Its path below the site's prefix, with placeholders such as `{id}`; "" for the start.
        title: Its title, also in the navigation.
        role: The role that it needs.
        template: Its file in api/web/templates.
        load: Returns its data: the template's variables, and the JSON answer.
        command: The command that shows the same, without `rented-numbers`; `{id}` stands for a placeholder or a
            query parameter of that name.
        api: Path of the API's operation that answers the same to an account's key, if there is one.
        parameters: Its query parameters; a request with any other is refused.
        placeholders: The pattern of each placeholder; a path that does not match is not found.
        in_menu: Whether the navigation leads to it.
        refresh_seconds: How often an open page reads its data again; None: it does not.
        example: The name of the tests' value that replaces the placeholders when tests open the page.
    """

    path: str
    title: str
    role: Role
    template: str
    load: Load
    command: str | None = None
    api: str | None = None
    parameters: frozenset[str] = frozenset()
    placeholders: Mapping[str, re.Pattern[str]] = field(default_factory=dict, hash=False)
    in_menu: bool = True
    refresh_seconds: int | None = None
    example: str = ""

    def action(
        self,
        word: str,
        title: str,
        event: str,
        role: Role,
        run: "Run",
        fields: Collection[str] = (),
        *,
        command: str | None = None,
        optional: Collection[str] = (),
    ) -> "Action":
        """Returns an action that answers with this page. Its path is the page's and `word`; the rest as in `Action`."""
        return Action(
            f"{self.path}/{word}",
            title,
            event,
            role,
            run,
            fields=frozenset(fields),
            page=self.path,
            command=command,
            optional=frozenset(optional),
            placeholders=self.placeholders,
            shows_page=True,
            example=self.example,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action did.

    Attributes:
        message: A sentence for people.
        data: JSON values for programs.
        html: Replaces the element that made the request; None: the page shows the message, and nothing is replaced.
        subject: The id of what it was done to, for the security log.
        event: Its word in the security log, where the action can do two things; None: the action's.
    """

    message: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    html: str | None = None
    subject: str = ""
    event: str | None = None


Run = Callable[[Visit, Mapping[str, str]], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Action:
    """Something that changes the system, or shows what is hidden. Each one that succeeds is in the security log.

    Attributes:
        path: Its path below the site's prefix, with placeholders such as `{id}`. It takes POST.
        title: What it does, such as "Hang up".
        event: Its word in the security log, such as `CallHungUp`.
        role: The role that it needs.
        run: Carries it out; it gets the form's fields.
        fields: The names of the form's fields; all others are refused.
        page: The path of the page that it is on, which shows how to do the same in a shell.
        command: The command that does the same, without `rented-numbers`; `{id}` stands for a placeholder.
        optional: The names of fields that may be left out.
        placeholders: The pattern of each placeholder; anything else is not found.
        shows_page: Whether it answers with its page, which then has a message or the errors of the form. Its page
            has the same placeholders.
        example: As in `Page`.
    """

    path: str
    title: str
    event: str
    role: Role
    run: Run
    fields: frozenset[str] = frozenset()
    page: str = ""
    command: str | None = None
    optional: frozenset[str] = frozenset()
    placeholders: Mapping[str, re.Pattern[str]] = field(default_factory=dict, hash=False)
    shows_page: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an action, on the page that it answers with.

    Attributes:
        path: The action's path with the request's values; a form shows the result of its own path only.
        message: A sentence for people.
        is_error: Whether nothing was done.
        errors: What is wrong with each field, by its name.
        sent: The form's fields, which are shown again if something was wrong with them.
        data: What a successful action returned.
    """

    path: str
    message: str
    is_error: bool = False
    errors: Mapping[str, str] = field(default_factory=dict, hash=False)
    sent: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """Server-sent events.

    Attributes:
        path: Its path below the site's prefix.
        role: The role that it needs.
        run: Sends events until the client leaves; see api.web.frame.streams.
    """

    path: str
    role: Role
    run: Callable[[Visit], Awaitable[web.StreamResponse]]
