"""Streams of events from the server itself: what they tell, from where they go on, when they end, and who may
have them."""

import select
import time
from collections.abc import Callable
from functools import partial

from api import create_app
from api.context import context
from api.edge import limits
from services.access import browser_sessions, keys
from services.atlases import changes, creation
from services.atlases.atlas_request import AtlasChange, AtlasRequest
from services.base.database import Database
from services.base.settings import Settings
from services.base.states import Visibility
from services.base.storage import ObjectStore
from services.jobs import jobs
from tests.api.edge.asker import new_key
from tests.api.small_catalog import NETWORK, finish_all, look_at_network
from tests.api.streams.conftest import Event, Server, finish_some


def told(events: list[Event]) -> list[str]:
    return [digest for event in events for digest in event.digests]


def test_a_stream_tells_the_state_then_each_item_once_and_then_the_end(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    job = submitted()
    reader = server.open(f"/v1/jobs/{job}/events")
    headers = reader.answer.headers
    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Accel-Buffering"] == "no"
    first = reader.next()
    assert first is not None
    assert (first.name, first.data["state"], first.data["items"]) == ("progress", "queued", [])
    done = finish_some(database, store, 1)
    assert reader.until(lambda event: bool(event.data["items"])).digests == done
    done += finish_some(database, store, 10)
    events = reader.rest()
    assert [event.name for event in events[:-1]] == ["progress"] * (len(events) - 1)
    assert events[-1].name == "end"
    assert (events[-1].data["state"], events[-1].data["progress"]["units"]["done"]) == ("succeeded", 4)
    assert sorted(told(events)) == sorted(done)
    assert {"ordinal", "digest", "layer", "unit", "seed", "state"} <= events[-1].data["items"][0].keys()


def test_a_stream_tells_how_far_a_first_look_at_the_network_is(
    server: Server, submitted: Callable[..., str], database: Database
) -> None:
    job = submitted()
    reader = server.open(f"/v1/jobs/{job}/events")
    for seen in (128, 256):
        look_at_network(database, job, seen)
        told = {"seen": seen, "codes": 512}
        reader.until(partial(_looks, told))


def _looks(told: dict[str, int], event: Event) -> bool:
    return bool(event.data["progress"]["look"] == told)


def test_a_stream_goes_on_after_the_last_event_when_the_server_has_been_away(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    path = f"/v1/jobs/{submitted()}/events"
    reader = server.open(path)
    done = finish_some(database, store, 1)
    last = reader.until(lambda event: bool(event.data["items"]))
    server.stop()
    reader.rest()  # in good order: what is cut off raises
    done += finish_some(database, store, 2)
    server.start()
    for again in (server.open(path, Last_Event_ID=last.id), server.open(f"{path}?last_event_id={last.id}")):
        event = again.next()
        assert event is not None
        assert set(done[1:]) <= set(event.digests) <= set(done)
    # The header is what a browser sends that comes again to the same address.
    event = server.open(f"{path}?last_event_id=0", Last_Event_ID=str(2**50)).next()
    assert event is not None
    assert set(event.digests) == set(done)
    finish_all(database, store)
    assert again.rest()[-1].name == "end"


def test_who_has_been_told_the_end_is_told_not_to_come_again_and_others_are_told_it(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    job = submitted()
    path = f"/v1/jobs/{job}/events"
    before = server.open(path).next()
    finish_all(database, store)
    assert before is not None
    [*_, end] = server.open(path, Last_Event_ID=before.id).rest()
    assert (end.name, len(end.digests)) == ("end", 4)
    assert server.get(path, Last_Event_ID=end.id)[0] == 204
    # Whoever has the end of before it was begun anew has not been told this one.
    path = f"/v1/jobs/{(other := submitted())}/events"
    with database.session() as session:
        jobs.cancel(session, other)
    [canceled] = server.open(path).rest()
    with database.session() as session:
        jobs.retry(session, other)
    again = server.open(path, Last_Event_ID=canceled.id).next()
    assert again is not None
    assert again.name == "progress"


def test_items_that_do_not_fit_into_one_event_are_told_in_several_and_all_of_them(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    job = submitted("0-299", layer="blocks.0.1", seeds_each=4)
    for _ in range(19):
        finish_some(database, store, 64)
    path = f"/v1/jobs/{job}/events"
    events = server.open(f"{path}?last_event_id=0").rest()
    assert max(len(event.digests) for event in events) <= 100
    assert sorted(told(events)) == sorted(set(told(events)))
    assert len(told(events)) == 1200
    # Broken off in the middle of them, it goes on there.
    rest = server.open(path, Last_Event_ID=events[3].id).rest()
    assert set(told(events[:4])) | set(told(rest)) == set(told(events))


def test_wrong_ids_and_jobs_that_are_not_there_are_problems_and_a_head_opens_nothing(
    server: Server, submitted: Callable[..., str]
) -> None:
    path = f"/v1/jobs/{submitted()}/events"
    assert server.get("/v1/jobs/job_none/events")[0] == 404
    assert server.get(f"{path}?last_event_id=x")[0] == 422
    assert server.get(path, Last_Event_ID="-1")[0] == 422
    assert server.get(path, Accept="application/json")[0] == 406
    assert server.get(f"{path}?since=0")[0] == 422
    status, headers, body = server.get(path, "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"].startswith("text/event-stream")


def test_a_private_atlas_is_followed_by_those_who_see_it_for_as_long_as_they_do(
    server: Server, database: Database
) -> None:
    owner, token = new_key(database, "read", "jobs:write")
    request = AtlasRequest.model_validate(
        {"network": NETWORK, "layers": ["classifier", "conv_stem"], "facets": 1, "visibility": "private"}
    )
    with database.session() as session:
        row, _ = creation.create(session, request, owner=owner)
        atlas = row.id
    path = f"/v1/atlases/{atlas}/events"
    assert server.get(path)[0] == 404
    mine = server.open(path, Authorization=token)
    first = mine.next()
    assert first is not None
    assert [layer["layer"] for layer in first.data["layers"]] == ["conv_stem", "classifier"]
    _change(database, atlas, "public")
    others = server.open(path)
    assert others.next() is not None
    _change(database, atlas, "private")
    assert [event.name for event in others.rest()] == ["progress"] * len(others.events)
    assert server.get(path)[0] == 404
    with database.session() as session:
        changes.pause(session, atlas)
    end = mine.rest()[-1]
    assert (end.name, end.data["state"]) == ("end", "paused")
    assert server.get(path, Authorization=token, Last_Event_ID=end.id)[0] == 204


def _change(database: Database, atlas: str, visibility: str) -> None:
    with database.session() as session:
        changes.change(session, atlas, AtlasChange(visibility=Visibility(visibility)))


def test_a_stream_ends_when_its_key_is_revoked(
    server: Server, submitted: Callable[..., str], database: Database
) -> None:
    id, token = new_key(database, "read")
    path = f"/v1/jobs/{submitted()}/events"
    reader = server.open(path, Authorization=token)
    assert reader.next() is not None
    with database.session() as session:
        keys.revoke_key(session, id)
    assert [event.name for event in reader.rest()] == ["progress"] * len(reader.events)
    assert server.get(path, Authorization=token)[0] == 401


def test_a_stream_of_a_browser_ends_when_it_signs_out_and_that_of_another_browser_goes_on(
    server: Server, submitted: Callable[..., str], database: Database
) -> None:
    _, token = new_key(database, "read")
    path = f"/v1/jobs/{submitted()}/events"
    with database.session() as session:
        mine, others = (browser_sessions.begin(session, token.removeprefix("Bearer ")) for _ in range(2))
    here, elsewhere = (
        server.open(path, Cookie=f"imago_session={each.token}", Sec_Fetch_Site="same-origin")
        for each in (mine, others)
    )
    assert here.next() is not None
    assert elsewhere.next() is not None
    with database.session() as session:
        browser_sessions.end(session, mine.token)
    assert [event.name for event in here.rest()] == ["progress"] * len(here.events)
    # The look that ended the one has left the other alone.
    assert select.select([elsewhere.connection.sock], [], [], 0)[0] == []
    with database.session() as session:
        browser_sessions.end(session, others.token)
    elsewhere.rest()


def test_reads_are_answered_beside_200_streams_and_one_client_may_not_have_them_all(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    job = submitted()
    path = f"/v1/jobs/{job}/events"
    readers = [server.open(path, host=f"127.0.0.{2 + number // 50}") for number in range(200)]
    for _ in range(20):
        assert server.get(f"/v1/jobs/{job}")[0] == 200
    readers += [server.open(path) for _ in range(limits.STREAMS_OF_ONE)]
    status, headers, _ = server.get(path)
    assert (status, "retry-after" in headers) == (429, True)
    finish_all(database, store)
    for reader in readers:
        assert reader.rest()[-1].name == "end"
    # Places are free again.
    assert server.get(f"{path}?last_event_id=0")[0] == 200


def test_who_does_not_read_holds_up_nobody_and_the_server_ends_all_the_same(
    server: Server, submitted: Callable[..., str], database: Database, store: ObjectStore
) -> None:
    job = submitted("0-299", layer="blocks.0.1", seeds_each=4)
    slow = server.connect()
    slow.sendall(f"GET /v1/jobs/{job}/events?last_event_id=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    select.select([slow], [], [], 60)
    for _ in range(19):
        finish_some(database, store, 64)
    assert server.open(f"/v1/jobs/{job}/events?last_event_id=0").rest()[-1].name == "end"
    server.stop()
    slow.close()
    server.start()


def test_places_of_clients_that_have_left_are_free_again(
    server: Server, submitted: Callable[..., str]
) -> None:
    path = f"/v1/jobs/{submitted()}/events"
    for _ in range(limits.STREAMS_OF_ONE):
        server.open(path, host="127.0.0.9")
    assert server.status(path, host="127.0.0.9") == 429
    server.close_streams()
    deadline = time.monotonic() + 60
    while server.status(path, host="127.0.0.9") != 200:
        assert time.monotonic() < deadline


def test_without_the_server_around_it_an_answer_tells_what_has_happened_and_ends(
    own: Settings, submitted: Callable[..., str]
) -> None:
    app = create_app(own)
    answer = app.test_client().get(f"/v1/jobs/{submitted()}/events")
    context(app).close()
    assert answer.text.startswith("retry: 2000\n\nevent: progress\nid: ")
    assert answer.text.count("event: ") == 1
