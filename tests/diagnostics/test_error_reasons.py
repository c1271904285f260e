"""The server's own words: error bodies as public APIs document them, and what is read of them."""

import json
import pickle
import re
import time

import pytest
import requests

import httpkit
from httpkit._diagnostics import error_reasons, errors


def response_with(body=b"", content_type="application/json", status=400, **fields):
    response = httpkit.Response()
    response.status_code, response.reason = status, requests.status_codes._codes[status][0]
    response.reason = response.reason.replace("_", " ").title()
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response._content_consumed = True
    if content_type:
        response.headers["Content-Type"] = content_type
    response.headers.update({name.replace("_", "-"): value for name, value in fields.items()})
    response.request = requests.Request("GET", "https://api.example.com/x").prepare()
    response.url = response.request.url
    return response


def read(*arguments, **options):
    return error_reasons.read(response_with(*arguments, **options))[0]


# Bodies as the documentation of these services and frameworks shows them.
JSON = {
    "GitHub, validation": (
        {"message": "Validation Failed", "errors": [
            {"resource": "Issue", "field": "title", "code": "missing_field"}],
         "documentation_url": "https://docs.github.com/rest"},
        "Validation Failed: title: missing_field",
    ),
    "Stripe": (
        {"error": {"code": "parameter_invalid_integer", "param": "amount",
                   "message": "Invalid integer: abc", "type": "invalid_request_error"}},
        "amount: Invalid integer: abc",
    ),
    "FastAPI": (
        {"detail": [{"type": "missing", "loc": ["body", "name"], "msg": "Field required",
                     "input": {}}]},
        "body.name: Field required",
    ),
    "DRF, detail": ({"detail": "No User matches the given query."},
                    "No User matches the given query."),
    "DRF, fields": (
        {"title": ["may not be blank"], "age": ["A valid integer is required."]},
        "title: may not be blank; age: A valid integer is required.",
    ),
    "DRF, the form as a whole": (
        {"non_field_errors": ["Passwords do not match."]}, "Passwords do not match.",
    ),
    "DRF, nested": (
        {"items": [{}, {"price": ["A valid number is required."]}]},
        "items: 1: price: A valid number is required.",
    ),
    "Rails": (
        {"errors": {"name": ["can't be blank"], "email": ["has already been taken"]}},
        "name: can't be blank; email: has already been taken",
    ),
    "Laravel": (
        {"message": "The given data was invalid.",
         "errors": {"email": ["The email has already been taken."]}},
        "The given data was invalid: email: The email has already been taken.",
    ),
    "Spring Boot": (
        {"timestamp": "2026-01-01T00:00:00Z", "status": 400, "error": "Bad Request",
         "message": "Validation failed for object='user'. Error count: 1",
         "errors": [{"codes": ["NotNull.user.name", "NotNull"], "defaultMessage":
                     "must not be null", "objectName": "user", "field": "name",
                     "rejectedValue": None, "bindingFailure": False, "code": "NotNull"}],
         "path": "/users"},
        "Validation failed for object='user'. Error count: 1: name: must not be null",
    ),
    "Spring Boot, no message": (
        {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/users/9"}, "Not Found",
    ),
    "ASP.NET": (
        {"type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
         "title": "One or more validation errors occurred.", "status": 400,
         "errors": {"Name": ["The Name field is required."]}, "traceId": "00-1"},
        "One or more validation errors occurred: Name: The Name field is required.",
    ),
    "ASP.NET, a bare text": (b'"No such order."', "No such order."),
    "JSON:API": (
        {"errors": [{"status": "422", "source": {"pointer": "/data/attributes/firstName"},
                     "title": "Invalid Attribute", "detail": "Must contain two characters."}]},
        "/data/attributes/firstName: Must contain two characters.",
    ),
    "JSON:API, a parameter": (
        {"errors": [{"source": {"parameter": "include"}, "title": "Invalid Query Parameter",
                     "detail": "There is no such relationship."}]},
        "include: There is no such relationship.",
    ),
    "Google": (
        {"error": {"code": 400, "message": "Invalid request", "status": "INVALID_ARGUMENT",
                   "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest",
                                "fieldViolations": [{"field": "display_name",
                                                     "description": "must be set"}]}]}},
        "Invalid request: display_name: must be set",
    ),
    "Google, older": (
        {"error": {"errors": [{"domain": "usageLimits", "reason": "rateLimitExceeded",
                               "message": "Rate Limit Exceeded"}],
                   "code": 403, "message": "Rate Limit Exceeded"}},
        "Rate Limit Exceeded",
    ),
    "Azure": (
        {"error": {"code": "BadArgument", "message": "The request is invalid",
                   "target": "ContactInfo", "details": [
                       {"code": "NullValue", "target": "PhoneNumber",
                        "message": "must not be null"}]}},
        "ContactInfo: The request is invalid: PhoneNumber: must not be null",
    ),
    "OData 3": (
        {"odata.error": {"code": "", "message": {"lang": "en-US", "value": "No such segment"}}},
        "No such segment",
    ),
    "Kubernetes": (
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
         "message": 'pods "web" not found', "reason": "NotFound",
         "details": {"name": "web", "kind": "pods"}, "code": 404},
        'pods "web" not found',
    ),
    "Atlassian, fields": (
        {"errorMessages": [], "errors": {"summary": "You must specify a summary."}},
        "summary: You must specify a summary.",
    ),
    "Atlassian, messages": (
        {"errorMessages": ["Issue does not exist."], "errors": {}}, "Issue does not exist.",
    ),
    "Discord": (
        {"code": 50035, "message": "Invalid Form Body", "errors": {"username": {"_errors": [
            {"code": "BASE_TYPE_REQUIRED", "message": "This field is required"}]}}},
        "Invalid Form Body: username: This field is required",
    ),
    "Zendesk": (
        {"error": "RecordInvalid", "description": "Record validation errors", "details": {
            "email": [{"description": "Email: is already used", "error": "DuplicateValue"}]}},
        "Record validation errors: Email: is already used",
    ),
    "PayPal": (
        {"name": "INVALID_REQUEST", "message": "Request is not well-formed.", "details": [
            {"field": "/amount", "value": "", "location": "body", "issue": "MISSING",
             "description": "A required field is missing."}]},
        "Request is not well-formed: /amount: A required field is missing.",
    ),
    "Elasticsearch": (
        {"error": {"root_cause": [{"type": "index_not_found_exception",
                                   "reason": "no such index [a]"}],
                   "type": "index_not_found_exception", "reason": "no such index [a]"},
         "status": 404},
        "no such index [a]",
    ),
    "Okta": (
        {"errorCode": "E0000001", "errorSummary": "Api validation failed", "errorCauses": [
            {"errorSummary": "login: must be an email address"}]},
        "Api validation failed: login: must be an email address",
    ),
    "Cloudflare": (
        {"success": False, "errors": [{"code": 6003, "message": "Invalid request headers",
         "error_chain": [{"code": 6111, "message": "Invalid format for Authorization"}]}],
         "messages": [], "result": None},
        "Invalid request headers: Invalid format for Authorization",
    ),
    "QuickBooks": (
        {"Fault": {"Error": [{"Message": "Required param missing", "code": "2020",
                              "element": "Line"}], "type": "ValidationFault"}},
        "Required param missing",
    ),
    "FHIR": (
        {"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "required", "diagnostics": "minimum required = 1",
             "expression": ["Patient.name"]}]},
        "Patient.name: minimum required = 1",
    ),
    "DynamoDB": (
        {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
         "Message": "Requested resource not found"},
        "Requested resource not found",
    ),
    "CouchDB": ({"error": "not_found", "reason": "missing"}, "missing"),
    "Slack": ({"ok": False, "error": "channel_not_found"}, "channel_not_found"),
    "Dropbox": (
        {"error_summary": "path/not_found/..", "error": {".tag": "path"}}, "path/not_found/..",
    ),
    "Salesforce": (
        [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
        "Session expired or invalid",
    ),
    "GitLab": ({"message": {"title": ["can't be blank"]}}, "title: can't be blank"),
    "Docker registry": (
        {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required",
                     "detail": [{"Type": "repository", "Action": "pull"}]}]},
        "authentication required",
    ),
    "Airtable": ({"error": {"type": "INVALID_PERMISSIONS"}}, "INVALID_PERMISSIONS"),
    "Prism": (
        {"type": "https://stoplight.io/prism/errors#UNPROCESSABLE_ENTITY",
         "title": "Invalid request", "status": 422, "detail": "Your request is not valid",
         "validation": [{"location": ["body"], "severity": "Error", "code": "required",
                         "message": "must have required property 'title'"}]},
        "Your request is not valid: body: must have required property 'title'",
    ),
    "Micronaut": (
        {"message": "Bad Request", "_embedded": {"errors": [{"message": "name: is blank"}]},
         "_links": {"self": {"href": "/x"}}},
        "name: is blank",
    ),
    "NestJS": (
        {"statusCode": 400, "message": ["title should not be empty"], "error": "Bad Request"},
        "title should not be empty",
    ),
    "JSend": ({"status": "fail", "data": {"title": ["is required"]}}, "title: is required"),
    "API Platform": (
        {"@type": "ConstraintViolationList", "title": "An error occurred", "violations": [
            {"propertyPath": "name", "message": "This value should not be blank."}]},
        "An error occurred: name: This value should not be blank.",
    ),
    "an RFC 7807 extension": (
        {"type": "https://example.net/validation-error", "title": "Invalid parameters",
         "invalid-params": [{"name": "age", "reason": "must be a positive integer"}]},
        "Invalid parameters: age: must be a positive integer",
    ),
    "Vonage": (
        {"title": "Bad Request", "invalid_parameters": [{"name": "to", "reason": "no number"}]},
        "to: no number",
    ),
    "ASP.NET Web API 2": (
        {"Message": "The request is invalid.",
         "ModelState": {"order.Name": ["The Name field is required."]}},
        "The request is invalid: order.Name: The Name field is required.",
    ),
    "ASP.NET Web API 2, exception": (
        {"Message": "An error has occurred.", "ExceptionMessage": "Sequence contains no elements",
         "ExceptionType": "System.InvalidOperationException", "StackTrace": "   at A.B()"},
        "Sequence contains no elements",
    ),
    "Elasticsearch, with a cause": (
        {"error": {"root_cause": [{"type": "x", "reason": "failed to parse"}], "type": "x",
                   "reason": "failed to parse",
                   "caused_by": {"type": "y", "reason": "field name cannot be empty"}},
         "status": 400},
        "failed to parse: field name cannot be empty",
    ),
    "WordPress": (
        {"code": "rest_invalid_param", "message": "Invalid parameter(s): per_page",
         "data": {"status": 400, "params": {"per_page": "per_page must be between 1 and 100"}}},
        "Invalid parameter(s): per_page: per_page must be between 1 and 100",
    ),
    "WordPress, with names alone": (
        {"message": "Missing parameter(s): title", "data": {"status": 400, "params": ["title"]}},
        "Missing parameter(s): title",
    ),
    "parameters that the request had": (
        {"message": "no such user", "data": {"params": {"q": "ada", "page": 2}}},
        "no such user",
    ),
    "Magento": (
        {"message": '"%fieldName" is required.', "parameters": {"fieldName": "qty"}},
        '"qty" is required.',
    ),
    "Magento, by number": (
        {"message": "%1 is not in 100% of the %2 carts of %1", "parameters": ["sku"]},
        "sku is not in 100% of the %2 carts of sku",
    ),
    "Magento, about a secret": (
        {"message": '"%value" is too short for %fieldName',
         "parameters": {"fieldName": "password", "value": "hunter2"}},
        '"%value" is too short for password',
    ),
    "Magento, with a secret": (
        {"message": "%password is too short", "parameters": {"password": "hunter2"}},
        "%password is too short",
    ),
    "ClickUp": ({"err": "Token invalid", "ECODE": "OAUTH_025"}, "Token invalid"),
    "Redfish": (
        {"error": {"code": "Base.1.8.GeneralError", "message": "A general error has occurred.",
                   "@Message.ExtendedInfo": [
                       {"MessageId": "Base.1.8.PropertyValueNotInList", "Severity": "Warning",
                        "Message": "The value Red is not in the list of acceptable values."}]}},
        "A general error has occurred: The value Red is not in the list of acceptable values.",
    ),
    "Contentful": (
        {"sys": {"type": "Error", "id": "ValidationFailed"}, "message": "Validation error",
         "details": {"errors": [{"name": "required", "path": ["fields", "title"],
                                 "details": "The property is required here"}]}},
        "Validation error: fields.title: The property is required here",
    ),
    "PocketBase": (
        {"code": 400, "message": "Failed to create record.", "data": {
            "title": {"code": "validation_required", "message": "Missing required value."}}},
        "Failed to create record: title: Missing required value.",
    ),
    "Box": (
        {"type": "error", "status": 400, "code": "bad_request", "message": "Bad Request",
         "context_info": {"errors": [{"reason": "missing_parameter", "name": "parent",
                                      "message": "'parent' is required"}]}},
        "'parent' is required",
    ),
    "OpenStack Nova": (
        {"itemNotFound": {"code": 404, "message": "Instance i-1 could not be found."}},
        "Instance i-1 could not be found.",
    ),
    "tRPC": (
        [{"error": {"json": {"message": "No user", "code": -32004,
                             "data": {"code": "NOT_FOUND", "path": "user.byId"}}}}],
        "No user",
    ),
    "JSON-RPC": (
        {"jsonrpc": "2.0", "id": 1,
         "error": {"code": -32602, "message": "Invalid params", "data": "missing field `id`"}},
        "Invalid params: missing field `id`",
    ),
    "PostgREST": (
        {"code": "42703", "message": "column a.x does not exist", "details": None,
         "hint": "Perhaps you meant a.y"},
        "column a.x does not exist: Perhaps you meant a.y",
    ),
    "SparkPost": (
        {"errors": [{"message": "Invalid data format/type", "code": "1300",
                     "description": "Error validating domain name syntax"}]},
        "Invalid data format/type: Error validating domain name syntax",
    ),
    "eBay": (
        {"errors": [{"errorId": 25001, "domain": "API_INVENTORY", "message": "Any System error.",
                     "longMessage": "Could not serialize field [product.title]"}]},
        "Could not serialize field [product.title]",
    ),
    "Meta": (
        {"error": {"message": "Invalid parameter", "type": "OAuthException", "code": 100,
                   "error_user_msg": "The image is too small."}},
        "Invalid parameter: The image is too small.",
    ),
    "Reddit": ({"message": "Bad Request", "reason": "private", "error": 400}, "private"),
    "Matrix": ({"errcode": "M_UNKNOWN_TOKEN"}, "M_UNKNOWN_TOKEN"),
    "DHL": (
        {"title": "Bad request", "detail": "Multiple problems found, see Additional Details",
         "additionalDetails": ["#/weight: required key [value] not found"]},
        "Multiple problems found, see Additional Details: #/weight: required key [value] not found",
    ),
    "NetSuite": (
        {"title": "Bad Request", "status": 400, "o:errorDetails": [
            {"detail": "Invalid value.", "o:errorCode": "INVALID_VALUE", "o:errorPath": "entity"}]},
        "entity: Invalid value.",
    ),
    "Ajv": (
        {"errors": [{"instancePath": "/name", "schemaPath": "#/type", "keyword": "type",
                     "params": {"type": "string"}, "message": "must be string"}]},
        "/name: must be string",
    ),
    "class-validator": (
        {"statusCode": 400, "error": "Bad Request", "message": [
            {"property": "email", "children": [],
             "constraints": {"isEmail": "email must be an email"}}]},
        "email: isEmail: email must be an email",
    ),
    "drf-standardized-errors": (
        {"type": "validation_error", "errors": [
            {"code": "required", "detail": "This field is required.", "attr": "name"}]},
        "name: This field is required.",
    ),
    "Fitbit": (
        {"success": False, "errors": [
            {"errorType": "validation", "fieldName": "date", "message": "Invalid date: 2026-13"}]},
        "date: Invalid date: 2026-13",
    ),
    "Autodesk": (
        {"developerMessage": "The bucket is missing.", "userMessage": "", "errorCode": "ERR-002"},
        "The bucket is missing.",
    ),
    "UltraCart": (
        {"error": {"developer_message": "order_id is malformed", "error_code": "400",
                   "user_message": "Please check the order"}},
        "Please check the order: order_id is malformed",
    ),
    "IBM": (
        {"status": 400, "code": 400, "message": "AccountCreateError",
         "developerMessage": "the name is taken by another account"},
        "AccountCreateError: the name is taken by another account",
    ),
    "IBM, localized": (
        {"details": {}, "localizedMessage": "no such location", "url": "/a"}, "no such location",
    ),
    "VMware": (
        {"apiErrorCode": 4, "httpStatusCode": 422, "message": "Invalid input format.",
         "validationFailures": [
             {"failureMessage": "must not be null", "violationPath": "resource.name"}]},
        "Invalid input format: resource.name: must not be null",
    ),
    "HubSpot": (
        {"status": "error", "message": "Property values were not valid", "validationResults": [
            {"isValid": False, "message": "x is no address", "name": "email"}]},
        "Property values were not valid: email: x is no address",
    ),
    "MediaWiki": (
        {"error": {"code": "badtoken", "info": "Invalid CSRF token.", "*": "See https://a/b"}},
        "Invalid CSRF token.",
    ),
    "VIES": (
        {"actionSucceed": False, "errorWrappers": [
            {"error": "MS_MAX_CONCURRENT_REQ", "message": "too many requests"}]},
        "too many requests",
    ),
    "Flask-Pydantic": (
        {"validation_error": {"body_params": [{"loc": ["age"], "msg": "not an integer"}]}},
        "body_params: age: not an integer",
    ),
    "Connect": (
        {"code": "invalid_argument", "message": "the sentence is empty",
         "details": [{"type": "acme.v1.Detail", "value": "CgIIPA", "debug": {}}]},
        "the sentence is empty",
    ),
    "a field that is called password": (
        {"errors": {"password": ["is too short (minimum is 8 characters)"]}},
        "password: is too short (minimum is 8 characters)",
    ),
    "a guard before JSON": (b")]}'\n" + b'{"error": {"message": "no such file"}}', "no such file"),
    "UTF-16": ('{"message": "nope"}'.encode("utf-16"), "nope"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), JSON.values(), ids=JSON)
def test_the_reason_is_read_from_json(body, message):
    assert read(body) == message


@pytest.mark.parametrize(
    "content_type", ["application/octet-stream", "binary/octet-stream", "text/html", ""]
)
def test_json_is_read_whatever_its_content_type(content_type):
    assert read({"message": "no such user"}, content_type) == "no such user"


@pytest.mark.parametrize(
    ("text", "encoding"), [("größe ungültig", "iso-8859-1"), ("неверный размер", "windows-1251")]
)
def test_json_is_read_in_the_encoding_that_its_type_names(text, encoding):
    response = response_with(f'{{"message": "{text}"}}'.encode(encoding), "application/json")
    response.encoding = encoding

    assert error_reasons.read(response)[0] == text


@pytest.mark.parametrize("encoding", ["no-such-encoding", "utf-8", "idna", None])
def test_json_in_no_known_encoding_still_has_words(encoding):
    response = response_with(b'{"message": "gr\xf6\xdfe"}', "application/json")
    response.encoding = encoding

    assert (error_reasons.read(response)[0] or "").startswith("gr")


XML = {
    "S3": (
        """<?xml version="1.0" encoding="UTF-8"?>
        <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>
        <Key>a</Key><RequestId>1</RequestId></Error>""",
        "The specified key does not exist.",
    ),
    "Azure with a byte order mark": (
        """\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>
        <Message>The specified blob does not exist.\nTime:1</Message></Error>""",
        "The specified blob does not exist. Time:1",
    ),
    "AWS Query": (
        """<ErrorResponse xmlns="https://iam.amazonaws.com/doc/"><Error><Type>Sender</Type>
        <Code>ValidationError</Code><Message>bad name</Message></Error></ErrorResponse>""",
        "bad name",
    ),
    "SOAP 1.1": (
        """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>
        <faultcode>s:Client</faultcode><faultstring>no such order</faultstring>
        </s:Fault></s:Body></s:Envelope>""",
        "no such order",
    ),
    "SOAP 1.2": (
        """<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body><env:Fault>
        <env:Code><env:Value>env:Sender</env:Value></env:Code>
        <env:Reason><env:Text xml:lang="en">Processing error</env:Text></env:Reason>
        </env:Fault></env:Body></env:Envelope>""",
        "Processing error",
    ),
    "a problem": (
        """<problem xmlns="urn:ietf:rfc:7807"><title>Out</title><detail>no credit</detail>
        </problem>""",
        "no credit",
    ),
    "OGC": (
        """<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows">
        <ows:Exception exceptionCode="InvalidParameterValue" locator="service">
        <ows:ExceptionText>unknown service</ows:ExceptionText>
        </ows:Exception></ows:ExceptionReport>""",
        "service: unknown service",
    ),
    "Google Cloud Storage": (
        """<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code>
        <Message>Access denied.</Message><Details>Anonymous caller does not have
        storage.objects.get access.</Details></Error>""",
        "Access denied: Anonymous caller does not have storage.objects.get access.",
    ),
    "SabreDAV": (
        """<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">
        <s:exception>Sabre\\DAV\\Exception\\NotFound</s:exception>
        <s:message>File with name a could not be located</s:message></d:error>""",
        "File with name a could not be located",
    ),
    "Tableau": (
        """<tsResponse xmlns="http://tableau.com/api"><error code="401001">
        <summary>Signin Error</summary><detail>Error signing in</detail></error></tsResponse>""",
        "Error signing in",
    ),
    "OAI-PMH": ("<OAI-PMH><error code='badVerb'>Illegal verb</error></OAI-PMH>", "Illegal verb"),
    "several": (
        """<errors><error><message>one</message></error>
        <error><message>two</message></error></errors>""",
        "one; two",
    ),
}


@pytest.mark.parametrize(
    "content_type", ["application/xml", "text/xml", "application/soap+xml", ""]
)
@pytest.mark.parametrize(("body", "message"), XML.values(), ids=XML)
def test_the_reason_is_read_from_xml(body, message, content_type):
    assert read(body.encode(), content_type) == message


def test_the_reason_is_read_from_xml_in_utf_16():
    body = "<?xml version='1.0' encoding='utf-16'?><Error><Message>nope</Message></Error>"

    assert read(body.encode("utf-16"), "application/xml") == "nope"


BOMB = (
    b'<!DOCTYPE e [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<e><Message>&b;</Message></e>"
)
ENTITY = b'<!DOCTYPE e [<!ENTITY f SYSTEM "file:///etc/hostname">]><e><Message>&f;</Message></e>'


@pytest.mark.parametrize("body", [BOMB, ENTITY], ids=["a bomb", "an external entity"])
def test_a_document_type_declaration_is_neither_expanded_nor_fetched(body):
    message = read(body, "application/xml") or ""

    assert "aaaaaaaaaaaaaaaaaaaa" not in message
    assert len(message) <= 300


@pytest.mark.parametrize(
    "body",
    [
        b"<a>" * 200_000,
        b"<e>" + b"<a/>" * 200_000 + b"</e>",
        b"<e " + b" ".join(b'a%d="x"' % n for n in range(50_000)) + b"/>",
        b'{"errors":' * 50_000,
        b'{"errors":[' + b'{"message":"x"},' * 60_000 + b"0]}",
        json.dumps({"errors": {f"f{n}": ["x" * 1000] for n in range(900)}}).encode(),
        b'{"message":"' + b"x" * 1_000_000 + b'"}',
        b'{"message":"' + b"%1" * 400_000 + b'","parameters":["' + b"x" * 99 + b'"]}',
    ],
    ids=[
        "deep",
        "wide",
        "attributes",
        "deep JSON",
        "many errors",
        "many fields",
        "one long text",
        "placeholders",
    ],
)
def test_a_hostile_document_is_read_in_bounded_time(body):
    began = time.process_time()

    message = read(body, "application/xml" if body[:1] == b"<" else "application/json")

    assert len(message or "") <= 300
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!doctype html><title>Gateway down</title><h1>Oops</h1>", "Gateway down"),
        (b"<!doctype html><title></title><h1>No such <em>page</em></h1>", "No such page"),
        (b"<h2>Service &amp; site are down</h2>", "Service & site are down"),
        (b"<p>no heading</p>", "no heading"),
        (b"<title>Error</title><body><pre>Cannot GET /users/7</pre>", "Cannot GET /users/7"),
        (b"<title>400 Bad Request</title><h1>Bad Request</h1><p>No such host.", "400 Bad Request"),
        (
            b"<html><title>400 Bad Request</title><h1>Bad Request</h1><p>Cut off</p>",
            "Cut off",
        ),
        (b"<style>p {}</style><script>run()</script><p></p>", None),
    ],
    ids=[
        "title",
        "heading",
        "second heading",
        "neither",
        "Express",
        "no end",
        "Werkzeug",
        "no text",
    ],
)
def test_the_reason_of_a_page_is_its_title_or_heading(body, message):
    assert read(body, "text/html") == message


@pytest.mark.parametrize("body", [b"{}", b" [] ", b"null", b"false", b'""'])
def test_an_empty_document_says_nothing(body):
    assert read(body) is None


def test_the_reason_is_read_from_a_form():
    body = b"error=bad_verification_code&error_description=The+code+has+expired."

    assert read(body, "application/x-www-form-urlencoded") == "The code has expired."


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (
            'Bearer error="invalid_token", error_description="The token expired"',
            "The token expired",
        ),
        ('Bearer realm="x", error="insufficient_scope", scope="a"', "insufficient_scope"),
        ("Bearer error=invalid_token", "invalid_token"),
        (r'Bearer error_description="a \"quoted\" word"', 'a "quoted" word'),
        ('Basic realm="x"', None),
        ('Basic realm="x", Bearer error="invalid_token"', "invalid_token"),
    ],
    ids=["description", "code", "unquoted", "quoted pair", "no error", "two challenges"],
)
def test_the_reason_is_read_from_www_authenticate(field, message):
    assert read(b"", "", 401, WWW_Authenticate=field) == message


def test_www_authenticate_counts_where_the_body_repeats_the_status():
    message = read(
        {"message": "Unauthorized"}, status=401,
        WWW_Authenticate='Bearer error_description="The token expired"',
    )  # fmt: skip

    assert message == "The token expired"


def test_the_message_of_a_body_precedes_that_of_www_authenticate():
    field = 'Bearer error="invalid_token"'

    assert read({"message": "revoked"}, status=401, WWW_Authenticate=field) == "revoked"


def test_the_reason_of_a_response_to_head_is_read_from_its_fields():
    assert read(b"", "", 404, x_ms_error_code="BlobNotFound") == "BlobNotFound"


@pytest.mark.parametrize(
    "body",
    [{"message": "Not Found"}, {"error": "not_found"}, {"message": "404 Not Found"}],
    ids=["phrase", "code", "status and phrase"],
)
def test_a_message_does_not_repeat_its_status(body):
    error = errors.from_response(response_with(body, status=404), httpkit.NotFoundError)

    assert str(error) == "404 Not Found for GET https://api.example.com/x"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "No such user", "errors": [{"message": "No such user."}]}, "No such user"),
        ({"message": "Name is blank", "errors": ["name is blank"]}, "Name is blank"),
        ({"errors": [{"message": "a"}, {"message": "a"}, {"message": "b"}]}, "a; b"),
        ({"error": {"message": "Bad", "details": [{"reason": "BAD"}]}}, "Bad"),
    ],
    ids=["with a full stop", "in capitals", "two entries", "a code"],
)
def test_nothing_is_said_twice(body, message):
    assert read(body) == message


# A function of the session's


def failing(make, url):
    with make(url) as api, pytest.raises(httpkit.StatusError) as caught:
        api.get("status/418")
    return caught.value


def own_words(response):
    return f"teapot {response.status_code}"


class Keyword(httpkit.Session, error_reason=own_words):
    pass


class Static(httpkit.Session):
    error_reason = staticmethod(own_words)


@pytest.mark.parametrize(
    "make", [lambda url: httpkit.Session(url, error_reason=own_words), Keyword, Static],
    ids=["keyword", "class keyword", "static method"],
)  # fmt: skip
def test_a_function_of_the_session_gives_the_reason(sandbox, make):
    error = failing(make, sandbox.url)

    assert error.detail == "teapot 418"
    assert str(error).endswith("/status/418: teapot 418")
    assert pickle.loads(pickle.dumps(error)).detail == "teapot 418"


def test_a_function_that_returns_none_leaves_the_reason_to_the_body(sandbox):
    error = failing(lambda url: httpkit.Session(url, error_reason=lambda _: None), sandbox.url)
    usual = failing(httpkit.Session, sandbox.url)

    assert error.detail == usual.detail


@pytest.mark.parametrize(
    ("function", "note"),
    [
        (lambda r: r.json()["no"]["such"], "error_reason raised "),
        (lambda r: 5, "error_reason returned int"),
        (
            lambda r: r.raise_for_status(),
            "error_reason raised Client",
        ),
        (lambda r: 1 / 0, "error_reason raised ZeroDivisionError: division by zero"),
    ],
    ids=["a missing key", "a number", "the error itself", "a bug"],
)
def test_a_function_that_fails_becomes_a_note(sandbox, function, note):
    error = failing(lambda url: httpkit.Session(url, error_reason=function), sandbox.url)

    assert re.search(note, "".join(error.__notes__))


def test_the_message_of_a_function_is_redacted_and_short(sandbox):
    message = "bad token=s3cr3t-value\r\n" + "x" * 1000
    error = failing(lambda url: httpkit.Session(url, error_reason=lambda _: message), sandbox.url)

    assert error.detail.startswith("bad token=*** xxx")
    assert len(error.detail) == 300


def test_a_reason_that_cannot_be_called_is_refused():
    with pytest.raises(httpkit.ConfigurationError, match="error_reason=5 cannot be called"):
        httpkit.Session(error_reason=5)
