"""The registry's list of job specs: pages, cursors and their quirks."""

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.integrations import Integration, JobSpec
from sandbox.simulator.messages import Reply, json_reply

# Documented for bundles, used for job specs too (developer.zendesk.com …/registry/bundles, 2026-11).
DEFAULT_SIZE, MAX_SIZE = 20, 100


def list_job_specs(exchange: Exchange, integration: Integration) -> Reply:
    """Return one page of an integration's job specs, installed or not."""
    switches, query = exchange.account.switches, exchange.request.query
    size = _page_size(query.get("page[size]"), clamp=switches.bad_page_size == "clamp")
    if size is None:
        return json_reply(400, {"message": "invalid page size"})
    rows = integration.job_specs
    paging = exchange.paging_fault or switches.paging
    cursors = [spec.uuid if switches.cursor_form == "uuid" else f"{spec.name}_jobspec" for spec in rows]
    swapped = switches.cursor_order == "swapped"
    after, before = query.get("page[after]"), query.get("page[before]")
    start = 0
    if paging == "endless_pages":
        start = 0
    elif after and after in cursors:
        start = cursors.index(after) + (size if swapped else 1)
    elif before and before in cursors:
        start = max(cursors.index(before) - (size - 1 if swapped else size), 0)
    elif (after or before) and switches.stale_cursor == "400":
        return json_reply(400, {"message": "invalid cursor"})
    if paging == "repeat_row" and start:
        start -= 1
    page = rows[start : start + size]
    shown = [spec.to_json(fqn=switches.list_names == "fqn") for spec in page]
    if not page:
        return json_reply(
            200, _without_rows("repeat_cursor" if paging == "repeat_cursor" else switches.empty_list, after)
        )
    first, last = cursors[start], cursors[start + len(page) - 1]
    meta: dict[str, object] = {"after": first if swapped else last, "before": last if swapped else first}
    meta["has_more"] = start + size < len(rows)
    match paging:
        case "endless_pages":
            count = int(after.rpartition("-")[2]) if after and after.rpartition("-")[2].isdecimal() else 0
            meta |= {"after": f"page-{count + 1}", "has_more": True}
            shown = [_renamed(spec, count).to_json() for spec in page]
        case "repeat_cursor":
            meta |= {"after": after or meta["after"], "has_more": True}
    return json_reply(200, {"job_specs": shown, "meta": meta})


def _page_size(text: str | None, *, clamp: bool) -> int | None:
    """Return the size of a page; None: it is refused."""
    if text is None:
        return DEFAULT_SIZE
    size = int(text) if text.lstrip("-").isdecimal() else 0
    if 1 <= size <= MAX_SIZE:
        return size
    return (MAX_SIZE if size > MAX_SIZE else DEFAULT_SIZE) if clamp else None


def _without_rows(form: str, after: str | None) -> dict[str, object]:
    match form:
        case "repeat_cursor":
            return {"job_specs": [], "meta": {"after": after or "", "before": after or "", "has_more": True}}
        case "nulls":
            return {"job_specs": [], "meta": {"after": None, "before": None, "has_more": False}}
        case "no_meta":
            return {"job_specs": []}
        case "null_list":
            return {"job_specs": None, "meta": {"after": "", "before": "", "has_more": False}}
        case _:
            return {"job_specs": [], "meta": {"after": "", "before": "", "has_more": False}}


def _renamed(spec: JobSpec, page: int) -> JobSpec:
    """Return a row that no earlier page held, so that only a cap on pages ends the list."""
    name = f"{spec.name}_{page}"
    return JobSpec(spec.integration, name, spec.description, spec.event_type, spec.flow_name, installed=spec.installed)
