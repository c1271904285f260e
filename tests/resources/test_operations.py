"""Long-running operations in the dialects of real APIs, and what goes wrong with them."""

from dataclasses import dataclass

import pytest
import requests

import httpkit


@dataclass
class Title:
    title: str


def lines(server):
    return [request.split(b" HTTP", 1)[0].decode() for request in server.requests]


def test_azures_operation_ends_with_the_resource(serve, reply, waits):
    api, server = serve(
        reply({"title": "new"}, "201 Created", azure_asyncoperation="/ops/1", location="/no"),
        reply({"status": "InProgress"}, retry_after="7"),
        reply({"status": "Succeeded"}),
        reply({"title": "Hat"}),
    )

    made = api.poll(api.put("things/1", json={}), model=Title)

    assert made == Title("Hat")
    assert lines(server)[1:] == ["GET /ops/1", "GET /ops/1", "GET /things/1"]
    assert waits == [1.0, 7.0]


def test_an_operation_location_ends_with_its_document(serve, reply):
    api, _ = serve(
        reply(status="202 Accepted", operation_location="/ops/1"),
        reply({"status": "notStarted"}),
        reply({"status": "succeeded", "result": 5}),
    )

    assert api.poll(api.post("analyze"))["result"] == 5


def test_a_202_with_a_location_ends_with_the_final_body(serve, reply):
    api, server = serve(
        reply(status="202 Accepted", location="/jobs/1"),
        reply(status="202 Accepted", location="/jobs/2"),
        reply({"title": "Hat", "status": "active"}),
    )

    assert api.poll(api.post("things"), model=Title) == Title("Hat")
    assert lines(server)[1:] == ["GET /jobs/1", "GET /jobs/2"]


def test_googles_operation_ends_with_its_response(serve, reply):
    api, server = serve(
        reply({"name": "operations/7"}),
        reply({"name": "operations/7", "done": False}),
        reply({"name": "operations/7", "done": True, "response": {"title": "Hat"}}),
    )

    assert api.poll(api.post("things"), model=Title) == Title("Hat")
    assert lines(server)[1:] == ["GET /operations/7"] * 2


def test_googles_error_is_a_failure_with_its_message(serve, reply):
    failed = {"name": "operations/7", "done": True, "error": {"code": 8, "message": "no quota"}}
    api, _ = serve(reply({"name": "operations/7"}), reply(failed))

    with pytest.raises(httpkit.OperationFailedError, match="no quota") as caught:
        api.poll(api.post("things"))

    assert caught.value.detail == "no quota"


def test_a_resource_that_is_provisioned_is_polled_itself(serve, reply):
    api, _ = serve(
        reply({"properties": {"provisioningState": "Creating"}}, "201 Created"),
        reply({"properties": {"provisioningState": "Updating"}}),
        reply({"title": "Hat", "properties": {"provisioningState": "Succeeded"}}),
    )

    assert api.poll(api.put("things/1", json={}), model=Title) == Title("Hat")


@pytest.mark.parametrize("status", ["200 OK", "201 Created"])
def test_a_post_without_an_operation_is_done(serve, reply, status):
    api, server = serve(reply({"title": "Hat", "status": "pending"}, status))

    assert api.poll(api.post("things"), model=Title) == Title("Hat")
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["204 No Content", "404 Not Found"])
def test_a_delete_ends_with_204_or_404(serve, reply, end):
    api, _ = serve(
        reply(status="202 Accepted", location="/ops/1"),
        reply(status="202 Accepted"),
        reply(status=end),
    )

    assert api.poll(api.delete("things/1")) is None


def test_a_status_may_be_anywhere_and_have_any_value(serve, reply):
    api, _ = serve(
        reply({"job": {"phase": "Brewing"}}), reply({"job": {"phase": "POURED"}, "cups": 2})
    )

    result = api.poll("jobs/1", status_at="job.phase", done={"poured"}, failed={"spilt"})

    assert result["cups"] == 2


COMPUTE = {"kind": "compute#operation", "name": "operation-7", "selfLink": "/operations/7"}


def test_an_operation_of_compute_engine_gives_its_target(serve, reply):
    api, server = serve(
        reply({**COMPUTE, "status": "RUNNING", "operationType": "insert"}),
        reply({**COMPUTE, "status": "DONE", "operationType": "insert", "targetLink": "/disks/1"}),
        reply({"title": "Hat"}),
    )

    assert api.poll(api.post("disks"), model=Title) == Title("Hat")
    assert [line.split()[1] for line in lines(server)] == ["/disks", "/operations/7", "/disks/1"]


def test_a_deletion_by_compute_engine_has_no_result(serve, reply):
    done = {**COMPUTE, "status": "DONE", "operationType": "delete", "targetLink": "/disks/1"}
    api, _ = serve(reply({**COMPUTE, "status": "RUNNING"}), reply(done))

    assert api.poll(api.delete("disks/1")) is None


def test_an_operation_of_compute_engine_that_is_done_with_an_error_failed(serve, reply):
    error = {"errors": [{"code": "QUOTA_EXCEEDED", "message": "no disks are left"}]}
    api, _ = serve(reply({**COMPUTE, "status": "DONE", "error": error}))

    with pytest.raises(httpkit.OperationFailedError, match="no disks are left"):
        api.poll(api.post("disks"))


def test_a_new_operation_and_a_busy_server_are_waited_for(serve, reply, waits):
    api, server = serve(
        reply(status="202 Accepted", location="/ops/1"),
        reply({}, "404 Not Found"),
        reply({}, "503 Service Unavailable", retry_after="9"),
        reply({"title": "Hat"}),
    )

    assert api.poll(api.post("things"), model=Title) == Title("Hat")
    assert waits == [1.0, 1.0, 9.0]
    assert len(server.requests) == 4


def test_an_operation_that_disappears_is_a_404(serve, reply):
    api, _ = serve(
        reply(status="202 Accepted", location="/ops/1"),
        reply({"status": "running"}),
        reply({}, "404 Not Found"),
    )

    with pytest.raises(httpkit.NotFoundError):
        api.poll(api.post("things"))


def test_an_operation_that_never_ends_leaves_its_url(serve, reply, waits):
    api, server = serve(reply({"status": "running"}))

    with pytest.raises(httpkit.DeadlineExceededError) as caught:
        api.poll("jobs/1", interval=20, deadline=50)

    assert caught.value.url == f"{server.url}/jobs/1"
    assert waits == [20, 20]


@pytest.mark.parametrize("options", [{}, {"status_at": "state"}, {"model": Title}], ids=repr)
def test_html_is_a_decode_error_at_once(serve, make_response, options):
    api, server = serve(make_response(body=b"<html>Please log in", content_type="text/html"))

    text = r"jobs/1.* (is not JSON|is not a Title|has no status)"
    with pytest.raises(httpkit.DecodeError, match=text):
        api.poll("jobs/1", **options)

    assert len(server.requests) == 1


def test_html_where_a_status_was_promised_is_a_decode_error(serve, reply, make_response):
    api, server = serve(
        reply(status="202 Accepted", operation_location="/ops/1"),
        make_response(body=b"<html>Please log in"),
    )

    with pytest.raises(httpkit.DecodeError, match="ops/1 has no status") as caught:
        api.poll(api.post("things"))

    assert "URL of the operation" in caught.value.__notes__[0]
    assert len(server.requests) == 2


def test_success_without_a_result_is_a_decode_error_for_a_model(serve, reply):
    done = {"name": "operations/7", "done": True}
    api, _ = serve(reply(done))

    with pytest.raises(httpkit.DecodeError, match=r"done without a result: GET .*operations/7"):
        api.poll("operations/7", model=Title)


@pytest.mark.parametrize(
    ("word", "other"),
    [("In Progress", "in-progress"), ("rendering", "NOT_STARTED"), ("Not started", "inProgress")],
)
def test_a_status_is_known_however_it_is_written(serve, reply, word, other):
    api, server = serve(
        reply({"status": word}), reply({"state": other}), reply({"status": "Timed Out"})
    )

    with pytest.raises(httpkit.OperationFailedError, match=r"failed \(Timed Out\)"):
        api.poll("jobs/1")

    assert len(server.requests) == 3


@pytest.mark.parametrize("name", ["state", "phase"])
def test_a_status_may_be_in_an_object_of_that_name(serve, reply, name):
    api, server = serve(reply({"status": {name: "RUNNING"}}), reply({"status": {name: "DONE"}}))

    assert api.poll("jobs/1") == {"status": {name: "DONE"}}
    assert len(server.requests) == 2


def test_a_callable_may_find_the_status(serve, reply):
    def is_whole(response):
        return all(step["ok"] for step in response.json())

    api, server = serve(reply([{"ok": True}, {"ok": False}]), reply([{"ok": True}]))

    assert api.poll("jobs/1", status_at=is_whole, done={"true"}) == [{"ok": True}]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("document", "text"),
    [({"state": "brewing"}, "its last status was 'brewing'"), ({}, "no status at 'state'")],
)
def test_an_operation_that_never_ends_says_its_last_status(serve, reply, document, text):
    api, _ = serve(reply(document))

    with pytest.raises(httpkit.DeadlineExceededError, match=text):
        api.poll("jobs/1", status_at="state", interval=20, deadline=10)


@pytest.mark.parametrize("field", ["location", "operation_location"])
def test_a_broken_link_is_named(serve, reply, field):
    api, server = serve(reply(status="202 Accepted", **{field: "ftp://files.example.com/1"}))

    with pytest.raises(requests.exceptions.InvalidURL, match=r"location of POST .*/things: it"):
        api.poll(api.post("things"))

    assert len(server.requests) == 1


def test_a_failure_pickles_and_holds_no_secret(serve, reply):
    api, _ = serve(
        reply({"status": "failed", "error": {"message": "token=session-token-1 is bad"}}),
        auth=httpkit.BearerAuth("session-token-1"),
    )

    with pytest.raises(httpkit.OperationFailedError) as caught:
        api.poll("jobs/1")

    assert "session-token-1" not in str(caught.value)


def test_an_operation_at_another_origin_gets_no_credentials(raw_server, reply):
    away = raw_server(reply({"title": "Hat"}))
    origin = raw_server(reply(status="202 Accepted", location=f"{away.url}/ops/1"))

    with httpkit.Session(retry=None, auth=httpkit.BearerAuth("session-token-1")) as api:
        api.poll(api.post(f"{origin.url}/things"))

    assert b"session-token-1" not in away.requests[0]


def test_a_bar_counts_the_requests(serve, reply):
    received = []
    api, _ = serve(reply({"status": "running"}), reply({"status": "running"}), reply({"a": 1}))

    api.poll("jobs/1", progress=lambda progress: received.append(progress.done))

    assert received[-1] == 2


@pytest.mark.parametrize(
    "options",
    [{"interval": -1}, {"deadline": 0}, {"done": "ready"}, {"status_at": ""}, {"progress": "x"}],
    ids=repr,
)
def test_options_of_a_poll_that_are_invalid_are_refused_before_anything_is_sent(
    serve, reply, options
):
    api, server = serve(reply({}))

    with pytest.raises((ValueError, TypeError)):
        api.poll("jobs/1", **options)

    assert server.requests == []
    assert issubclass(httpkit.OperationFailedError, requests.RequestException)


def test_with_done_words_of_the_callers_any_other_word_is_waited_for(serve, reply):
    api, server = serve(
        reply({"id": 1, "state": "UploadComplete"}),
        reply({"id": 1, "state": "InProgress"}),
        reply({"id": 1, "state": "JobComplete", "rows": 5}),
    )

    assert api.poll("jobs/ingest/1", done={"JobComplete"})["rows"] == 5
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", ["action", "data", "job_status"])
def test_a_status_in_an_envelope_is_waited_for(serve, reply, name):
    api, server = serve(
        reply({name: {"id": 1, "status": "running", "error": None}}),
        reply({name: {"id": 1, "status": "success", "error": None}}),
    )

    assert api.poll("actions/1")[name]["status"] == "success"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"action": {"status": "error", "error": {"code": "no_ip", "message": "no address"}}}, ""),
        (
            {"state": {"status": "FAILED", "state_message": "no address"}, "message": "see state"},
            "",
        ),
        ({"state": "Failed", "statusReason": "no address"}, ""),
        ({"status": {"state": "DONE", "errorResult": {"message": "no address"}}}, ""),
        ({"status": "completed", "error": {"message": "no address"}}, ""),
        ({"status": "finished", "error": "no address"}, ""),
        ({"status": "failed", "id": 1}, '{"status": "failed", "id": 1}'),
    ],
    ids=["envelope", "beside", "reason", "error result", "completed", "text", "none"],
)
def test_a_failure_says_what_is_beside_its_status(serve, reply, document, reason):
    api, _ = serve(reply(document))

    with pytest.raises(httpkit.OperationFailedError) as caught:
        api.poll("jobs/1")

    assert caught.value.detail == (reason or "no address")


def test_a_failure_at_a_path_says_what_is_beside_it(serve, reply):
    status = {"State": "FAILED", "StateChangeReason": "SYNTAX_ERROR: line 1"}
    api, _ = serve(reply({"QueryExecution": {"Status": status}, "message": "elsewhere"}))

    with pytest.raises(httpkit.OperationFailedError, match="SYNTAX_ERROR"):
        api.poll("queries/1", status_at="QueryExecution.Status.State")


@pytest.mark.parametrize(
    "error",
    [None, "", "None", "No errors", "000", {}, {"code": 0, "message": ""}, [], ["row 3 is empty"]],
    ids=repr,
)
def test_an_operation_that_ended_without_an_error_is_done(serve, reply, error):
    document = {"status": "completed", "error": error}
    api, _ = serve(reply(document))

    assert api.poll("jobs/1") == document


@dataclass
class Todo:
    name: str
    done: bool


def test_an_item_with_a_name_that_is_done_is_no_operation_without_a_result(serve, reply):
    api, _ = serve(reply({"name": "tea", "done": True}))

    assert api.poll("todos/1", model=Todo) == Todo("tea", done=True)


@pytest.mark.parametrize(
    "document",
    [{"name": "operations/7", "done": True}, {"name": "7", "done": True, "metadata": {"a": 1}}],
    ids=["name", "metadata"],
)
def test_an_operation_of_googles_without_a_result_is_a_decode_error(serve, reply, document):
    api, _ = serve(reply(document))

    with pytest.raises(httpkit.DecodeError, match="done without a result"):
        api.poll("operations/7", model=Todo)


@pytest.mark.parametrize("rest", [b'"n": 1e999', b'"n": "\xff"'], ids=["number", "bytes"])
def test_a_failure_in_a_document_that_cannot_be_parsed_is_still_one(serve, make_response, rest):
    api, _ = serve(make_response(body=b'{"status": "failed", %s}' % rest))

    with pytest.raises(httpkit.OperationFailedError, match=r"failed \(failed\)"):
        api.poll("jobs/1")


def test_a_path_to_a_status_that_leads_into_a_list_is_waited_on(serve, reply):
    api, server = serve(*[reply({"jobs": [{"status": "done"}]})] * 3)

    with pytest.raises(httpkit.DeadlineExceededError, match=r"no status at 'jobs\.last\.status'"):
        api.poll("jobs", status_at="jobs.last.status", deadline=2.5)

    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("document", "options"),
    [
        ({"ok": False, "error": "not_authed"}, {}),
        ({"success": False, "message": "not_authed"}, {}),
        ({"error": {"message": "not_authed"}}, {"status_at": "job.status"}),
    ],
    ids=["ok", "success", "without its status"],
)
def test_an_error_with_status_200_is_a_failure_at_once(serve, reply, document, options):
    api, server = serve(reply(document))

    with pytest.raises(httpkit.OperationFailedError, match=r"no status.*: not_authed") as caught:
        api.poll("jobs/1", **options)

    assert caught.value.detail == "not_authed"
    assert len(server.requests) == 1


def test_a_false_flag_alone_is_a_failure(serve, reply):
    api, _ = serve(reply({"ok": False}))

    with pytest.raises(httpkit.OperationFailedError, match="no status"):
        api.poll("jobs/1")


@pytest.mark.parametrize(
    "document",
    [
        {"rows": 2, "errors": ["row 3 is empty"]},
        {"id": 7, "success": False, "score": 3},
        {"success": False, "score": 3},
        {"kind": "compute#operation", "status": "DONE", "error": {"errors": []}},
        {"name": "operations/7", "done": True, "error": {"code": 0}},
    ],
    ids=["errors", "item", "flag", "no errors", "code"],
)
def test_a_result_with_errors_of_its_own_is_a_result(serve, reply, document):
    api, _ = serve(reply(document))

    assert api.poll("jobs/1") == document
