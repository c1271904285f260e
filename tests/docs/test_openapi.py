"""From real OpenAPI documents to typed clients, by the commands of the guide, checked by Prism.

The documents, and Prism, are packages of npm. Where they cannot be had, these tests are skipped.
"""

import json
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from github import Comment, GitHub, Issue, Release, Repo

import httpkit
from tests.support import npm_packages, prism
from tests.support.interop import require

pytestmark = pytest.mark.timeout(600)  # seconds: what npm and Prism take with an empty cache

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/openapi.md").read_text("utf-8")
CLIENTS = Path(__file__).parent / "openapi_clients"
DIRECTUS = ("@directus/specs", "15.2.0")
FIGMA = ("@figma/rest-api-spec", "0.43.0")
GITHUB = ("@octokit/openapi", "23.0.2")


def block(caption):
    """Return the block of the guide with a caption."""
    (found,) = re.findall(rf"^:caption: {caption}\n\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return found


def command():
    """Return the words of the guide's command that generates the models."""
    text = GUIDE.replace("\\\n", " ")
    (line,) = re.findall(r"^datamodel-codegen .*$", text, re.MULTILINE)
    return shlex.split(line)[1:]


def generate(document, folder, *paths, model="msgspec.Struct"):
    """Generate the models of some paths of a document into a folder, as the guide does."""
    require("datamodel_code_generator")
    message = command()
    message[message.index("--input") + 1] = str(document)
    message[message.index("--output") + 1] = str(folder / "models.py")
    message[message.index("--output-model-type") + 1] = model
    if paths:
        at = message.index("--openapi-include-paths")
        message[at + 1 : message.index("--output")] = paths
    run("-m", "datamodel_code_generator", *message, cwd=folder)


def run(*message, cwd):
    done = subprocess.run(
        [sys.executable, *message], cwd=cwd, env={"PYTHONPATH": f"{ROOT}", "NO_PROXY": "*"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def part_of(document, wanted):
    """Return the part of a document that some paths need: Prism reads it in less time."""
    paths = {path: document["paths"][path] for path in wanted}
    kept = {name: value for name, value in document.items() if not name.startswith("x-")}
    schemes = document["components"].get("securitySchemes", {})
    kept |= {"paths": paths, "components": {"securitySchemes": schemes}}
    left = references(paths)
    while left:
        reference = left.pop()
        section, name = reference.removeprefix("#/components/").split("/")
        if name not in kept["components"].setdefault(section, {}):
            kept["components"][section][name] = document["components"][section][name]
            left |= references(document["components"][section][name])
    return kept


def references(part):
    return set(re.findall(r'"\$ref": "(#/components/[^"]+)"', json.dumps(part)))


@contextmanager
def imported(*names, folder):
    """Give modules of a folder, and forget them afterwards."""
    sys.path.insert(0, str(folder))
    sys.modules.pop("models", None)
    try:
        yield [__import__(name) for name in names]
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)


def test_the_guide_leads_to_a_client_that_prism_accepts(tmp_path):
    package = npm_packages.unpacked(*DIRECTUS)
    document = package / "dist/openapi.json"
    generate(document, tmp_path)
    (tmp_path / "directus.py").write_text(block("directus.py"), "utf-8")

    with prism.serve(document) as url:
        check = block("check.py").replace("http://127.0.0.1:4010", url)
        (tmp_path / "check.py").write_text(check, "utf-8")
        printed = run("check.py", cwd=tmp_path)

    assert printed == block("check.py prints")


FIGMA_PATHS = (
    "/v1/me",
    "/v1/files/{file_key}/comments",
    "/v1/files/{file_key}/comments/{comment_id}",
    "/v1/files/{file_key}/versions",
    "/v2/webhooks",
    "/v2/webhooks/{webhook_id}",
)


def test_a_document_with_unions_leads_to_a_client_with_pydantic_models(tmp_path):
    require("pydantic")
    yaml = require("yaml")
    text = (npm_packages.unpacked(*FIGMA) / "openapi/openapi.yaml").read_text("utf-8")
    document = tmp_path / "openapi.json"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    whole = yaml.load(text, loader)
    document.write_text(json.dumps(part_of(whole, FIGMA_PATHS)), "utf-8")
    generate(document, tmp_path, "*", model="pydantic_v2.BaseModel")
    (tmp_path / "figma.py").write_text((CLIENTS / "figma.py").read_text("utf-8"), "utf-8")
    auth = httpkit.APIKeyAuth("figd_token-1", "X-Figma-Token")

    with (
        prism.serve(document) as url,
        imported("models", "figma", folder=tmp_path) as (models, figma),
        figma.Figma(url, auth=auth) as api,
    ):
        comments = api.files("key1").comments
        made = comments.create({"message": "Nice", "client_meta": {"x": 1, "y": 2}})
        listed = comments.list(params={"as_md": True}).first(1)
        comments.delete(made.id)
        version = api.files("key1").versions.list(params={"page_size": 2}).first(1)
        hook = {"event_type": "PING", "context": "team", "context_id": "1", "passcode": "p"}
        hook["endpoint"] = "https://hooks.example.com"
        webhook = api.webhooks.create(hook)
        changed = api.webhooks.update(webhook.id, hook | {"team_id": "1"})
        me = api.me.get()
        with pytest.raises(httpkit.ClientError, match="400 Bad Request"):
            comments.create({"text": "not a comment"})
        with pytest.raises(httpkit.ClientError, match=r"api|40[45]"):
            api.me.delete()

    assert [type(item) for item in (made, *listed)] == [models.Comment] * 2
    assert [type(item) for item in version] == [models.Version]
    assert [type(item) for item in (webhook, changed)] == [models.WebhookV2] * 2
    assert type(me) is models.GetMeResponse


GITHUB_PATHS = (
    "/user/repos",
    "/orgs/{org}/repos",
    "/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}/issues",
    "/repos/{owner}/{repo}/issues/{issue_number}",
    "/repos/{owner}/{repo}/issues/{issue_number}/comments",
    "/repos/{owner}/{repo}/issues/comments",
    "/repos/{owner}/{repo}/issues/comments/{comment_id}",
    "/repos/{owner}/{repo}/releases",
    "/repos/{owner}/{repo}/releases/{release_id}",
    "/repos/{owner}/{repo}/releases/latest",
)


# The document's example of a repository is not of its own schema: Prism makes one up.
MADE_UP = {"Prefer": "dynamic=true"}


@pytest.fixture(scope="module")
def github_document(tmp_path_factory):
    """The part of GitHub's own document that has to do with the client of docs/clients."""
    package = npm_packages.unpacked(*GITHUB)
    document = json.loads((package / "generated/api.github.com.json").read_text("utf-8"))
    path = tmp_path_factory.mktemp("github") / "openapi.json"
    path.write_text(json.dumps(part_of(document, GITHUB_PATHS)), "utf-8")
    return path


def test_the_client_for_github_asks_for_what_githubs_document_has(github_document):
    with (
        prism.serve(github_document) as url,
        GitHub(url, auth=httpkit.BearerAuth("ghp_valid0token"), retry=None) as github,
    ):
        repo = github.repos("octocat/hello-world")
        comments = repo.issues(7).comments
        found = [
            github.repos.list(params={"visibility": "all", "per_page": 1}).first(1)[0],
            github.repos_of("octo").first(1)[0],
            github.repos.get("octocat/hello-world", headers=MADE_UP),
            repo.issues.create({"title": "Found a bug", "labels": ["bug"]}),
            repo.issues.update(7, {"state": "closed", "state_reason": "completed"}),
            repo.issues.list(params={"state": "open", "sort": "updated"}).first(1)[0],
            comments.create({"body": "Me too."}),
            comments.list(params={"since": "2026-01-01T00:00:00Z"}).first(1)[0],
            comments.get(1),
            comments.update(1, {"body": "Edited."}),
            repo.comments.list(params={"sort": "created"}).first(1)[0],
            repo.comments.get(1),
            repo.releases.get("latest"),
        ]
        comments.delete(1)
        with pytest.raises(httpkit.UnprocessableContentError):
            comments.create({"text": "no body"})

    models = [Repo] * 3 + [Issue] * 3 + [Comment] * 6 + [Release]
    assert [type(item) for item in found] == models


@pytest.mark.parametrize("path", ["issues/7/comments/1", "comments/7"])
def test_githubs_document_knows_no_other_place_for_a_comment(github_document, path):
    with (
        prism.serve(github_document) as url,
        GitHub(url, auth=httpkit.BearerAuth("ghp_valid0token"), retry=None) as github,
        pytest.raises(requests.HTTPError, match="hasn't been found"),
    ):
        github.get(f"repos/octocat/hello-world/{path}")


def test_models_of_githubs_document_decode_its_examples(github_document, tmp_path):
    paths = ("*/issues/comments*", "*/releases*")
    generate(github_document, tmp_path, *paths, model="pydantic_v2.BaseModel")

    with (
        prism.serve(github_document) as url,
        imported("models", folder=tmp_path) as (models,),
        GitHub(url, auth=httpkit.BearerAuth("ghp_valid0token"), retry=None) as github,
    ):
        repo = github.repos("octocat/hello-world")
        comment = repo.comments.get(1, model=models.IssueComment)
        release = repo.releases.get("latest", model=models.Release)

    assert (type(comment), type(release)) == (models.IssueComment, models.Release)
    assert comment.user.login == "octocat"
