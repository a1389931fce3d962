"""Templates, and the answers that are made with them."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import hdrs, web
from markupsafe import Markup, escape
from pydantic.alias_generators import to_camel

from api.http.client_ip import scheme_of
from api.http.problems import PROBLEMS, problem_of
from api.web.frame.assets import WEB_FILES, assets
from api.web.frame.commands import CommandFailed
from api.web.frame.filters import FILTERS
from api.web.frame.protection import (
    ACCOUNT_PARAMETER,
    CSRF_FIELD,
    REFRESH_HEADER,
    PageRefused,
    account_named,
    headers_of,
)
from api.web.frame.services import WEB
from api.web.frame.site import Page, Result, Site, Visit
from engine.cdr.timeline import REAL_TIME
from engine.domain.errors import InvalidInput
from engine.domain.web_access import Role

PROGRAM = "rented-numbers"
JSON = "application/json"
INVALID_FORM = "The form is not valid"
# How the command line's complaints about an option begin.
_OPTION = re.compile(r"--([a-z-]+):? ")


def set_up_templates(app: web.Application) -> None:
    """Prepares the templates for an application."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(WEB_FILES / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= FILTERS
    environment.globals |= {
        "CSRF_FIELD": CSRF_FIELD,
        "Role": Role,
        "REAL_TIME": REAL_TIME,
        "hidden_number": hidden_number,
    }


def hidden_number(site: Site, masked: str, kind: str, named: str) -> Markup:
    """Shows a masked number, with a button that shows it whole. `kind` is `booking`, `partner`, `call` or `record`."""
    # Not `Markup.format`, which takes 60 µs: a page may have a thousand of these.
    of = f"{escape(kind)} {escape(named)}"
    return Markup(  # noqa: S704  what it is made of is escaped
        f'<span class="hidden-number"><span class="number">{escape(masked)}</span> '
        f'<button class="outline small act" hx-post="{site.prefix}/hidden-number" hx-include="#csrf" '
        f'hx-vals=\'{{"kind": "{escape(kind)}", "id": "{escape(named)}"}}\' hx-target="closest .hidden-number" '
        f'hx-swap="outerHTML" aria-label="Show the hidden number of {of}">Show</button></span>'
    )


def wants_json(request: web.Request) -> bool:
    """Returns whether the client asks for the data and not for the page."""
    return request.headers.get(hdrs.ACCEPT, "").startswith(JSON)


def is_of_htmx(request: web.Request) -> bool:
    """Returns whether htmx made the request: it replaces a part of the page by the answer."""
    return "HX-Request" in request.headers


def page_answer(
    visit: Visit, page: Page, data: Mapping[str, Any], result: Result | None = None, *, status: int = 200
) -> web.Response:
    """Answers with a page, or with its data. `result`: what became of the action that the page answers."""
    if wants_json(visit.request):
        return json_of(visit.request, data)
    here = here_of(visit, page)
    context = {
        "visit": visit,
        "page": page,
        "here": here,
        "lines": lines_of(visit, page, here),
        "csrf": visit.csrf,
        "result": result,
        **data,
    }
    return html_of(visit.request, visit.site, page.template, context, status=status)


def here_of(visit: Visit, page: Page) -> str:
    """Returns the page's own path, also where it is the answer to an action."""
    if visit.request.method == "POST":
        return visit.site.prefix + page.path.format(**visit.request.match_info)
    return visit.request.path_qs


def html_of(
    request: web.Request, site: Site, template: str, context: Mapping[str, Any], *, status: int = 200
) -> web.Response:
    """Answers with a template."""
    paths = {name: site.prefix + asset.path for name, asset in assets().items()}
    account_id = account_named(request)
    query = f"?{ACCOUNT_PARAMETER}={account_id}" if site.frame_origin is not None and account_id else ""
    known = {"visit": None, "page": None, "lines": (), "result": None, "site": site, "assets": paths}
    text = aiohttp_jinja2.render_string(template, request, known | {"sign_in_query": query} | dict(context))
    return web.Response(status=status, text=text, content_type="text/html", headers=headers_of(request))


def part_of(visit: Visit, template: str, context: Mapping[str, Any]) -> str:
    """Returns a part of a page, for an action that shows what it has made."""
    known = {"visit": visit, "site": visit.site, **context}
    return aiohttp_jinja2.render_string(template, visit.request, known)


def json_of(request: web.Request, data: Mapping[str, Any], *, status: int = 200) -> web.Response:
    """Answers with JSON."""
    text = json.dumps(data, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type=JSON, headers=headers_of(request))


def message_of(request: web.Request, site: Site, message: str, *, status: int = 200) -> web.Response:
    """Answers an action with a sentence: as a part of the page for htmx, else as a page."""
    if is_of_htmx(request):
        answer = html_of(request, site, "message.html", {"message": message, "is_error": status >= 400}, status=status)
        answer.headers.update({"HX-Retarget": "#message", "HX-Reswap": "innerHTML"})
        return answer
    title = "Done" if status < 400 else "Not done"
    return html_of(request, site, "notice.html", {"title": title, "detail": message}, status=status)


def refusal_of(request: web.Request, site: Site, error: Exception) -> web.Response:
    """Answers with what a client may learn about an error."""
    refused = refused_by(error)
    if wants_json(request):
        body = {"status": refused.status, "title": refused.title, "detail": refused.detail}
        body |= {"errors": dict(refused.errors)} if refused.errors else {}
        return json_of(request, body, status=refused.status)
    if REFRESH_HEADER in request.headers and refused.status in {404, 410}:
        # What the page is about is gone. The message of the action that deleted it stays; there is nothing to refresh.
        return web.Response(text='<div id="live"></div>', content_type="text/html", headers=headers_of(request))
    if is_of_htmx(request):
        return message_of(request, site, f"{refused.title}. {refused.detail}", status=refused.status)
    if refused.status == 401:
        return html_of(request, site, "sign_in.html", {"refused": refused, "is_signed_in": False}, status=401)
    context = {"title": refused.title, "detail": refused.detail}
    return html_of(request, site, "notice.html", context, status=refused.status)


def refused_by(error: Exception) -> PageRefused:
    """Returns what a client may learn about an error: of an unexpected one, not its text."""
    match error:
        case PageRefused():
            return error
        case CommandFailed():
            return PageRefused(503, "The command failed", f"{error}.")
        case InvalidInput():
            return _refused_input(error)
        case _:
            problem = problem_of(error)
            kind = PROBLEMS[problem.code]
            errors = {each.field: _sentence(each.message) for each in problem.errors if each.field}
            title = INVALID_FORM if problem.code == "invalid_request" else kind.title
            return PageRefused(kind.status, title, problem.detail, errors)


def _refused_input(error: InvalidInput) -> PageRefused:
    """Returns what the command line would say. A problem with the option `--reason` is one with the field `reason`."""
    found = [(_OPTION.match(problem), problem) for problem in error.problems]
    errors = {
        to_camel(option[1].replace("-", "_")): _sentence(problem[option.end() :]) for option, problem in found if option
    }
    others = [_sentence(problem) for option, problem in found if not option]
    return PageRefused(422, INVALID_FORM, " ".join(others) or "See the marked fields.", errors)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


class _Given(dict[str, str]):
    """What stands for the placeholders of a line: the request's values, or the placeholder's name in capitals."""

    def __missing__(self, name: str) -> str:
        return name.upper()


def _lines_of_customer(visit: Visit, page: Page) -> list[tuple[str, str]]:
    """Returns the API's line for customers. For them the API is at the address of this page."""
    if page.api is None:
        return []
    request = visit.request
    path = page.api.format(**request.match_info)
    if request.query_string:
        path += f"?{request.query_string}"
    return [
        (
            "With the API",
            f'curl -H "Authorization: Bearer $KEY" {shlex.quote(f"{scheme_of(request)}://{request.host}{path}")}',
        )
    ]


def lines_of(visit: Visit, page: Page, here: str) -> list[tuple[str, str]]:
    """Returns the lines that do in a shell what a page and its actions do, each with its title."""
    if not visit.site.has_shell:
        return _lines_of_customer(visit, page)
    url = visit.request.app[WEB].url
    given = _Given(
        {
            name: shlex.quote(value)
            for name, value in (*visit.request.query.items(), *visit.request.match_info.items())
            if value
        }
    )
    session = 'curl -H "Authorization: Bearer $SESSION"'
    lines = []
    if page.command is not None:
        lines.append(("Show this", f"{PROGRAM} {page.command.format_map(given)}"))
    if page.api is not None:
        address = shlex.quote(url + page.api.format_map(given))
        lines.append(("With the API, for one account", f'curl -H "Authorization: Bearer $KEY" {address}'))
    lines.append(("This page's data", f'{session} -H "Accept: {JSON}" {shlex.quote(url + here)}'))
    for action in visit.site.actions:
        if action.page == page.path and visit.may(action.role):
            fields = "".join(f" -d {name}=…" for name in sorted(action.fields))
            fields += "".join(f" [-d {name}=…]" for name in sorted(action.optional))
            if action.command is not None:
                lines.append((action.title, f"{PROGRAM} {action.command.format_map(given)}"))
            data = fields if action.fields else f" -X POST{fields}"
            address = url + visit.site.prefix + action.path.format_map(given)
            lines.append((f"{action.title}, with curl", f"{session}{data} {address}"))
    return lines
